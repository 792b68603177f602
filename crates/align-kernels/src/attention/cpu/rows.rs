//! Keys and values where they lie: f32 in a stream, or bf16 in a cache, of which a few rows at a time are widened.
//!
//! What is widened is what was rounded, so that the same numbers give the same bits in either type.

use candle_core::{CpuStorage, DType, Result, Storage, StorageRef, Tensor, bail};
use half::bf16;

use crate::cpu::{Matrix, Slice, simd, slice};

/// Rows of bf16 that are widened together: with all their heads they stay in the first cache.
pub(super) const AT_ONCE: usize = 16;

/// Whether keys and values are both bf16 in main memory.
pub(in crate::attention) fn are_held_here(tensors: [&Tensor; 2]) -> bool {
    tensors.iter().all(|tensor| tensor.device().is_cpu() && tensor.dtype() == DType::BF16)
}

/// The elements of a contiguous tensor of keys or values.
pub(super) enum Held<'a> {
    F32(Slice<'a>),
    Bf16(StorageRef<'a>, std::ops::Range<usize>),
}

/// Keys or values `[keys, kv_heads, dim]`.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

/// Some rows from one head on, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
}

impl<'a> Held<'a> {
    pub(super) fn of(tensor: &'a Tensor) -> Result<Self> {
        if tensor.dtype() != DType::BF16 {
            return Ok(Self::F32(slice(tensor)?));
        }
        let (storage, layout) = tensor.storage_and_layout();
        match (&*storage, layout.contiguous_offsets()) {
            (Storage::Cpu(CpuStorage::BF16(_)), Some((start, end))) => Ok(Self::Bf16(storage, start..end)),
            _ => bail!("expected contiguous keys and values on the CPU, got {:?}", tensor.layout()),
        }
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        match self {
            Self::F32(all) => Rows::F32(all),
            Self::Bf16(storage, range) => match &**storage {
                Storage::Cpu(CpuStorage::BF16(all)) => Rows::Bf16(&all[range.clone()]),
                _ => unreachable!("checked when they were taken"),
            },
        }
    }
}

impl<'a> Rows<'a> {
    /// Elements.
    pub(super) fn len(self) -> usize {
        match self {
            Self::F32(all) => all.len(),
            Self::Bf16(all) => all.len(),
        }
    }

    /// Rows that are best taken at a time.
    pub(super) fn at_once(self) -> usize {
        match self {
            Self::F32(_) => usize::MAX,
            Self::Bf16(_) => AT_ONCE,
        }
    }

    /// `count` rows of `width` elements from `first` on, `stride` apart; those of bf16 in `room`, without what is between them.
    pub(super) fn lines<'b>(
        self,
        first: usize,
        [count, width]: [usize; 2],
        stride: usize,
        room: &'b mut Vec<f32>,
    ) -> Lines<'b>
    where
        'a: 'b,
    {
        match self {
            Self::F32(all) => Lines { data: &all[first..], stride },
            Self::Bf16(all) => {
                if room.len() < count * width {
                    room.resize(count * width, 0.0);
                }
                widen(&all[first..], width, stride, &mut room[..count * width]);
                Lines { data: &room[..count * width], stride: width }
            }
        }
    }
}

impl<'a> Lines<'a> {
    pub(super) fn matrix(self, rows: usize, columns: usize) -> Matrix<'a> {
        Matrix::strided(self.data, rows, columns, self.stride)
    }
}

simd! {
    /// Rows of `width` elements, `stride` apart, as f32 one after the other.
    fn widen(from: &[bf16], width: usize, stride: usize, to: &mut [f32]) {
        for (to, from) in to.chunks_exact_mut(width).zip(from.chunks(stride)) {
            for (to, from) in to.iter_mut().zip(from) {
                *to = f32::from_bits(u32::from(from.to_bits()) << 16);
            }
        }
    }
}
