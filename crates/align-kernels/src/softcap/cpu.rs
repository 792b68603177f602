//! Soft caps on slices.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::SoftCap;
use crate::cpu::{simd, slice, tanh, tensor};

/// Elements that one thread takes at a time.
const BLOCK: usize = 16 * 1024;

/// The capped numbers of a tensor, on all threads.
pub(super) fn of(x: &Tensor, by: SoftCap) -> Result<Tensor> {
    let x = x.contiguous()?;
    let mut y = slice(&x)?.to_vec();
    y.par_chunks_mut(BLOCK).for_each(|y| cap(y, by));
    tensor(y, x.shape())
}

simd! {
    /// Numbers to capped ones.
    pub(crate) fn cap(x: &mut [f32], by: SoftCap) {
        let (inverse, outer) = ((1.0 / by.inner) as f32, by.outer as f32);
        for x in x {
            *x = outer * tanh(*x * inverse);
        }
    }
}

simd! {
    /// Multiplies with the slope at each number, of which `y` is what it became; −∞ is a number that nobody sees, and has
    /// the slope 0.
    pub(crate) fn scale_by_slope(grad: &mut [f32], y: &[f32], by: SoftCap) {
        let (inverse, rise) = ((1.0 / by.outer) as f32, (by.outer / by.inner) as f32);
        for (grad, y) in grad.iter_mut().zip(y) {
            let share = y * inverse;
            let share = if share < -1.0 { -1.0 } else { share };
            *grad *= (1.0 - share * share) * rise;
        }
    }
}
