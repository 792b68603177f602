//! How gradients add up on a tape.

use candle_core::backend::BackendStorage as _;
use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Result, Shape, Tensor, WithDType, bail};

use super::Value;
use crate::cpu::{add_all, is_f32_on_cpu, slice, update};

/// A gradient, and whether somebody else holds its storage too, so that nobody may write to it.
pub(super) struct Gradient {
    tensor: Tensor,
    shared: bool,
}

impl Gradient {
    pub(super) fn own(tensor: Tensor) -> Self {
        Self { tensor, shared: false }
    }

    pub(super) fn shared(tensor: Tensor) -> Self {
        Self { tensor, shared: true }
    }

    /// A value as a term of a sum.
    pub(super) fn of(value: &Value) -> Self {
        Self { tensor: value.tensor.clone(), shared: value.shared.get() }
    }

    pub(super) fn share(&self) -> Self {
        Self::shared(self.tensor.clone())
    }

    pub(super) fn reshape(self, shape: &Shape) -> Result<Self> {
        Ok(Self { tensor: self.tensor.reshape(shape)?, shared: self.shared })
    }

    pub(super) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    pub(super) fn into_tensor(self) -> Tensor {
        self.tensor
    }
}

/// Adds a gradient to those that have arrived.
pub(super) fn add(sum: &mut Option<Gradient>, grad: Gradient) -> Result<()> {
    *sum = Some(match sum.take() {
        None => grad,
        Some(before) => Gradient::own(sum_of(before, grad)?),
    });
    Ok(())
}

/// The sum, in the storage of one of the two where nobody else holds it.
pub(super) fn sum_of(a: Gradient, b: Gradient) -> Result<Tensor> {
    if a.tensor.shape() != b.tensor.shape() {
        bail!("expected two tensors of one shape, got {:?} and {:?}", a.tensor.shape(), b.tensor.shape());
    }
    let writable = |x: &Gradient| !x.shared && is_f32_on_cpu(&[&x.tensor]) && x.tensor.is_contiguous();
    let (total, other) = if writable(&a) { (a, b) } else { (b, a) };
    if !writable(&total) || !is_f32_on_cpu(&[&other.tensor]) {
        return &total.tensor + &other.tensor;
    }
    let other = other.tensor.contiguous()?;
    let other = slice(&other)?;
    update(&total.tensor, |total| add_all(total, &other))?;
    Ok(total.tensor)
}

/// At least f32: what half precision is summed in.
pub(crate) fn wide(x: &Tensor) -> Result<Tensor> {
    match x.dtype() {
        DType::BF16 | DType::F16 => x.to_dtype(DType::F32),
        _ => Ok(x.clone()),
    }
}

/// `[rows, columns]` → `[columns]`: a product with ones, because candle's sum over rows is many times slower.
pub(crate) fn sum_of_rows(x: &Tensor) -> Result<Tensor> {
    Tensor::ones((1, x.dim(0)?), x.dtype(), x.device())?.matmul(x)?.squeeze(0)
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
