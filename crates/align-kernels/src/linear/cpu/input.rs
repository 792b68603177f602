//! The input of layers as their way back needs it: gradients of weights are products with it, and nothing else is.

use candle_core::{Result, Shape, Tensor};
use half::bf16;
use rayon::prelude::*;

use crate::Value;
use crate::cpu::{Precision, round, simd, slice, tensor};

/// Elements that one thread takes at a time.
const BLOCK: usize = 16 * 1024;

/// What is kept of an input `[rows, inputs]`.
pub(super) enum Input {
    /// Nothing: no gradient is a product with it.
    Nothing,
    /// Its numbers.
    Whole(Tensor),
    /// Its numbers in bf16, where every product with them would round them to it first: the same bits from half the memory.
    Rounded(Vec<bf16>, Shape),
}

impl Input {
    /// Its numbers, for products of any precision. What others hold in f32 anyway costs nothing to hold as well.
    pub(super) fn whole(x: &Value) -> Result<Self> {
        Ok(Self::Whole(x.keep().contiguous()?))
    }

    /// What products of that precision read of it.
    pub(super) fn of(x: &Value, precision: Precision) -> Result<Self> {
        if precision == Precision::F32 || x.is_shared() {
            return Self::whole(x);
        }
        let x = x.tensor().contiguous()?;
        let mut rounded = vec![bf16::ZERO; x.elem_count()];
        let all = slice(&x)?;
        rounded.par_chunks_mut(BLOCK).zip(all.par_chunks(BLOCK)).for_each(|(to, x)| narrow(x, to));
        Ok(Self::Rounded(rounded, x.shape().clone()))
    }

    /// Its numbers in f32, if it was kept.
    pub(super) fn numbers(&self) -> Result<Option<Tensor>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Whole(x) => Ok(Some(x.clone())),
            Self::Rounded(x, shape) => {
                let mut wide = vec![0f32; x.len()];
                wide.par_chunks_mut(BLOCK).zip(x.par_chunks(BLOCK)).for_each(|(to, x)| widen(x, to));
                tensor(wide, shape).map(Some)
            }
        }
    }
}

simd! {
    fn narrow(x: &[f32], to: &mut [bf16]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to = bf16::from_bits((round(*x).to_bits() >> 16) as u16);
        }
    }
}

simd! {
    fn widen(x: &[bf16], to: &mut [f32]) {
        for (to, x) in to.iter_mut().zip(x) {
            *to = f32::from_bits(u32::from(x.to_bits()) << 16);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::Tape;

    #[test]
    fn what_nobody_else_holds_takes_two_bytes_and_reads_as_a_product_reads_it() {
        // Ties, what is too small for a normal number, what has no value.
        let mut all: Vec<f32> = (0..40_000).map(|i| (i as f32 - 20_000.0) / 1024.0).collect();
        all.extend([1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 1e-40, -0.0, f32::MAX, f32::INFINITY, f32::NAN]);
        let x = Tensor::new(all.as_slice(), &Device::Cpu).unwrap();
        let (tape, bits) = (Tape::default(), |x: f32| x.to_bits());
        let kept = Input::of(&tape.fresh(x.clone()), Precision::Bf16).unwrap();
        assert!(matches!(&kept, Input::Rounded(held, _) if size_of_val(held.as_slice()) == 2 * all.len()));
        let read: Vec<f32> = kept.numbers().unwrap().unwrap().to_vec1().unwrap();
        assert!(read.iter().zip(&all).all(|(read, x)| bits(*read) == bits(round(*x))));
        for (value, precision) in
            [(tape.fresh(x.clone()), Precision::F32), (tape.constant(&x), Precision::Bf16)]
        {
            assert!(matches!(Input::of(&value, precision).unwrap(), Input::Whole(_)));
        }
    }
}
