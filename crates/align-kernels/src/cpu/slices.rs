//! From tensors to slices and back without copies.

use std::mem::MaybeUninit;
use std::ops::{Deref, Range};

use candle_core::{
    CpuStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Storage, StorageRef, Tensor, bail,
};

/// Whether the CPU forms can take these operands.
pub(crate) fn is_f32_on_cpu(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|tensor| tensor.device().is_cpu() && tensor.dtype() == DType::F32)
}

/// The elements of a contiguous f32 tensor in main memory, in order; dereferences to `[f32]`.
pub(crate) struct Slice<'a> {
    storage: StorageRef<'a>,
    range: Range<usize>,
}

/// The elements of `tensor`. Make it contiguous first.
///
/// # Errors
/// If the tensor is not f32, not on the CPU or not contiguous.
pub(crate) fn slice(tensor: &Tensor) -> Result<Slice<'_>> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(_)), Some((start, end))) => Ok(Slice { storage, range: start..end }),
        _ => bail!(
            "expected a contiguous f32 tensor on the CPU, got {:?} {:?}",
            tensor.dtype(),
            tensor.layout()
        ),
    }
}

impl Deref for Slice<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(data)) => &data[self.range.clone()],
            _ => unreachable!("checked when the slice was made"),
        }
    }
}

/// A tensor in main memory that owns `data`, outside any graph.
pub(crate) fn tensor(data: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(data, shape.into(), &Device::Cpu)
}

/// A vector of `len` elements that `fill` writes, without zeroing it first.
///
/// # Safety
/// `fill` writes every element.
#[expect(unsafe_code, reason = "a zeroed vector costs one more pass over memory")]
pub(crate) unsafe fn filled(len: usize, fill: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut data = Vec::with_capacity(len);
    fill(&mut data.spare_capacity_mut()[..len]);
    // SAFETY: the capacity is at least `len`, and the caller promises that `fill` wrote all elements.
    unsafe { data.set_len(len) };
    data
}

/// Changes the elements of a contiguous f32 tensor in main memory in place; every clone sees it.
///
/// # Errors
/// If the tensor is not f32, not on the CPU or not contiguous.
pub(crate) fn update(tensor: &Tensor, change: impl Fn(&mut [f32])) -> Result<()> {
    tensor.inplace_op1(&Update(change))
}

struct Update<F>(F);

impl<F: Fn(&mut [f32])> InplaceOp1 for Update<F> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(data), Some((start, end))) => (self.0)(&mut data[start..end]),
            _ => bail!("expected a contiguous f32 tensor, got {layout:?}"),
        }
        Ok(())
    }
}
