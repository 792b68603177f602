//! A tensor's storage from hand to hand: what an op computed enters candle's graph without a copy.

use std::sync::Mutex;

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{
    CpuStorage, CudaStorage, InplaceOp1, Layout, MetalStorage, Result, Shape, Storage, Tensor, bail,
};

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

/// The whole storage, in whose place one element remains.
fn taken<S>(storage: &mut S) -> Result<S>
where
    S: BackendStorage<Device: BackendDevice<Storage = S>>,
{
    let rest = storage.device().zeros_impl(&Shape::from(1), storage.dtype())?;
    Ok(std::mem::replace(storage, rest))
}

/// The value of an op on its way into the graph.
pub(super) struct HandOver {
    tensor: Mutex<Option<(Tensor, bool)>>,
}

/// Takes the storage of a tensor.
struct Take<'a>(&'a Mutex<Option<Storage>>);

macro_rules! take {
    ($forward:ident, $storage:ty, $device:ident) => {
        fn $forward(&self, storage: &mut $storage, _: &Layout) -> Result<()> {
            *self.0.lock().expect("no holder of this lock can panic") =
                Some(Storage::$device(taken(storage)?));
            Ok(())
        }
    };
}

impl InplaceOp1 for Take<'_> {
    fn name(&self) -> &'static str {
        "take"
    }

    take!(cpu_fwd, CpuStorage, Cpu);
    take!(cuda_fwd, CudaStorage, Cuda);
    take!(metal_fwd, MetalStorage, Metal);
}

macro_rules! storage_on {
    ($name:ident, $storage:ty, $device:ident) => {
        /// Storage and shape, once.
        pub(super) fn $name(&self) -> Result<($storage, Shape)> {
            let (tensor, shared) = self.take()?;
            let shape = tensor.shape().clone();
            if !shared && is_whole(&tensor) {
                let taken = Mutex::new(None);
                tensor.inplace_op1(&Take(&taken))?;
                if let Some(Storage::$device(storage)) =
                    taken.into_inner().expect("no holder of this lock can panic")
                {
                    return Ok((storage, shape));
                }
                bail!("inputs and value are on different devices");
            }
            let (storage, layout) = tensor.storage_and_layout();
            match &*storage {
                Storage::$device(storage) => Ok((own_elements(storage, layout)?, shape)),
                _ => bail!("inputs and value are on different devices"),
            }
        }
    };
}

impl HandOver {
    /// `shared` says that others hold the storage of `tensor` too: they keep it, and the graph gets a copy.
    pub(super) fn new(tensor: Tensor, shared: bool) -> Self {
        Self { tensor: Mutex::new(Some((tensor, shared))) }
    }

    fn take(&self) -> Result<(Tensor, bool)> {
        match self.tensor.lock().expect("no holder of this lock can panic").take() {
            Some(value) => Ok(value),
            None => bail!("the value of an op was taken twice"),
        }
    }

    storage_on!(on_cpu, CpuStorage, Cpu);
    storage_on!(on_cuda, CudaStorage, Cuda);
    storage_on!(on_metal, MetalStorage, Metal);
}

/// Whether the tensor is all of its storage, in order.
fn is_whole(tensor: &Tensor) -> bool {
    let (storage, layout) = tensor.storage_and_layout();
    let held = match &*storage {
        Storage::Cpu(storage) => elements(storage),
        // Storage on other devices does not say its length; of what ops compute, a contiguous value is all of it.
        Storage::Cuda(_) | Storage::Metal(_) => layout.shape().elem_count(),
    };
    layout.contiguous_offsets() == Some((0, held))
}

fn elements(storage: &CpuStorage) -> usize {
    match storage {
        CpuStorage::F32(data) => data.len(),
        CpuStorage::F64(data) => data.len(),
        CpuStorage::BF16(data) => data.len(),
        CpuStorage::F16(data) => data.len(),
        _ => 0,
    }
}
