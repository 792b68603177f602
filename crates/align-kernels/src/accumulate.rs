//! How an op with a backward pass of its own enters candle's graph, and how gradients add up.
//!
//! Candle records an op if one of its inputs is tracked and asks it for the gradients of its inputs.
//! Our ops answer `None` for a parameter and write to its [`GradBuffer`](crate::GradBuffer) instead:
//! that saves candle's zero + add + transposed add per weight, and leaves its `GradStore` empty of
//! parameters.

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, DType, InplaceOp2, Layout, MetalStorage,
    Result, Shape, Storage, Tensor, WithDType, bail,
};

use crate::Param;
use crate::cpu::Floats;

/// An op whose value is computed already and whose backward pass is the closure `backward`, from the
/// gradient of the value to the gradients of its `N` inputs.
///
/// Candle requires a gradient for every tracked input that is not a variable: closures answer `None`
/// only for parameters and for inputs that are not tracked.
pub(crate) struct Recorded<F, V = Tensor> {
    pub(crate) name: &'static str,
    pub(crate) value: V,
    pub(crate) backward: F,
}

/// A value on its way into the graph.
pub(crate) trait Value: Send + Sync {
    /// Its storage and shape; asked for once.
    fn on_cpu(&self) -> Result<(CpuStorage, Shape)>;
    /// As [`Value::on_cpu`].
    fn on_cuda(&self) -> Result<(CudaStorage, Shape)>;
    /// As [`Value::on_cpu`].
    fn on_metal(&self) -> Result<(MetalStorage, Shape)>;
}

/// The elements that a layout names, in order, in storage of their own: candle takes an op's storage to be contiguous
/// from its first element on, which that of a view is not. One copy, whatever the layout.
#[expect(unsafe_code, reason = "storage that is zeroed first costs one more pass over memory")]
fn own_elements<S>(storage: &S, layout: &Layout) -> Result<S>
where
    S: BackendStorage<Device: BackendDevice<Storage = S>>,
{
    // SAFETY: the copy writes each of the `layout.shape().elem_count()` elements, from the first on.
    let mut own = unsafe { storage.device().alloc_uninit(layout.shape(), storage.dtype())? };
    storage.copy_strided_src(&mut own, 0, layout)?;
    Ok(own)
}

macro_rules! copy_of_storage {
    ($tensor:ident, $device:ident) => {
        match &*$tensor.storage_and_layout().0 {
            Storage::$device(value) => Ok((own_elements(value, $tensor.layout())?, $tensor.shape().clone())),
            _ => bail!("inputs and value are on different devices"),
        }
    };
}

impl Value for Tensor {
    fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        copy_of_storage!(self, Cpu)
    }

    fn on_cuda(&self) -> Result<(CudaStorage, Shape)> {
        copy_of_storage!(self, Cuda)
    }

    fn on_metal(&self) -> Result<(MetalStorage, Shape)> {
        copy_of_storage!(self, Metal)
    }
}

impl Value for Floats {
    fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        self.take()
    }

    fn on_cuda(&self) -> Result<(CudaStorage, Shape)> {
        bail!("inputs and value are on different devices")
    }

    fn on_metal(&self) -> Result<(MetalStorage, Shape)> {
        bail!("inputs and value are on different devices")
    }
}

macro_rules! forward_is_the_value {
    ($op:ident, $inputs:literal, $($storage:ident $layout:ident),+; $bwd:item) => {
        impl<F, V: Value> $op for Recorded<F, V>
        where
            F: Fn(&Tensor) -> Result<[Option<Tensor>; $inputs]> + Send + Sync,
        {
            fn name(&self) -> &'static str {
                self.name
            }

            fn cpu_fwd(&self, $($storage: &CpuStorage, $layout: &Layout),+) -> Result<(CpuStorage, Shape)> {
                $(let _ = ($storage, $layout);)+
                self.value.on_cpu()
            }

            fn cuda_fwd(&self, $($storage: &CudaStorage, $layout: &Layout),+) -> Result<(CudaStorage, Shape)> {
                $(let _ = ($storage, $layout);)+
                self.value.on_cuda()
            }

            fn metal_fwd(&self, $($storage: &MetalStorage, $layout: &Layout),+) -> Result<(MetalStorage, Shape)> {
                $(let _ = ($storage, $layout);)+
                self.value.on_metal()
            }

            $bwd
        }
    };
}

forward_is_the_value!(CustomOp1, 1, _s1 _l1;
    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [first] = (self.backward)(grad)?;
        Ok(first)
    }
);

forward_is_the_value!(CustomOp2, 2, _s1 _l1, _s2 _l2;
    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [first, second] = (self.backward)(grad)?;
        Ok((first, second))
    }
);

forward_is_the_value!(CustomOp3, 3, _s1 _l1, _s2 _l2, _s3 _l3;
    fn bwd(
        &self, _: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [first, second, third] = (self.backward)(grad)?;
        Ok((first, second, third))
    }
);

/// See [`Param::leaf`].
pub(crate) fn leaf(param: &Param) -> Result<Tensor> {
    let Some(buffer) = param.grad_buffer().cloned() else {
        return Ok(param.tensor().clone());
    };
    param.tensor().apply_op1(Recorded {
        name: "leaf",
        value: param.tensor().detach(),
        backward: move |grad: &Tensor| {
            buffer.accumulate(&grad.copy()?)?;
            Ok([None])
        },
    })
}

/// `total + grad`, in `total`'s storage where the device has an in-place form.
pub(crate) fn add_in_place(total: Tensor, grad: &Tensor) -> Result<Tensor> {
    if total.shape() != grad.shape() {
        bail!("gradient {:?} does not fit the buffer {:?}", grad.shape(), total.shape());
    }
    if total.device().is_cpu() && total.is_contiguous() && matches!(total.dtype(), DType::F32 | DType::F64) {
        total.inplace_op2(&grad.contiguous()?, &AddAssign)?;
        Ok(total)
    } else {
        &total + grad
    }
}

struct AddAssign;

impl InplaceOp2 for AddAssign {
    fn name(&self) -> &'static str {
        "add-assign"
    }

    fn cpu_fwd(
        &self,
        total: &mut CpuStorage,
        total_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<()> {
        match (total, grad) {
            (CpuStorage::F32(total), CpuStorage::F32(grad)) => {
                add_slices(total, total_layout, grad, grad_layout)
            }
            (CpuStorage::F64(total), CpuStorage::F64(grad)) => {
                add_slices(total, total_layout, grad, grad_layout)
            }
            (total, grad) => {
                bail!("cannot add a {:?} gradient to a {:?} buffer", grad.dtype(), total.dtype())
            }
        }
    }
}

fn add_slices<T: WithDType>(
    total: &mut [T],
    total_layout: &Layout,
    grad: &[T],
    grad_layout: &Layout,
) -> Result<()> {
    let (Some((total_start, total_end)), Some((start, end))) =
        (total_layout.contiguous_offsets(), grad_layout.contiguous_offsets())
    else {
        bail!("add-assign needs contiguous operands");
    };
    for (total, grad) in total[total_start..total_end].iter_mut().zip(&grad[start..end]) {
        *total += *grad;
    }
    Ok(())
}
