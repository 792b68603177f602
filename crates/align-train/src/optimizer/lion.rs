//! Lion (Chen et al. 2023, arXiv:2302.06675) as bitsandbytes' `lion_32bit` computes it on the CPU, to the bit:
//!
//! ```text
//! p ← p · (1 − ηλ)
//! p ← p − η · sign(β₁ m + (1 − β₁) g)
//! m ← β₂ m + (1 − β₂) g
//! ```

use align_kernels::Param;
use candle_core::Tensor;
use rayon::prelude::*;

use super::in_place::{BLOCK, Elementwise, in_blocks};
use super::rule::Step;
use crate::Result;

pub(super) fn step(p: &mut [f32], g: &[f32], [m]: [&mut [f32]; 1], (beta1, beta2): (f64, f64), step: Step) {
    let block = LionBlock {
        grad_scale: step.grad_scale as f32,
        decay: step.decay() as f32,
        beta1: beta1 as f32,
        one_minus_beta1: (1.0 - beta1) as f32,
        beta2: beta2 as f32,
        one_minus_beta2: (1.0 - beta2) as f32,
        learning_rate: step.learning_rate as f32,
    };
    in_blocks(p, g, m.par_chunks_mut(BLOCK), &block);
}

struct LionBlock {
    grad_scale: f32,
    decay: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    learning_rate: f32,
}

impl<'a> Elementwise<&'a mut [f32]> for LionBlock {
    #[inline(always)]
    fn block(&self, p: &mut [f32], g: &[f32], m: &'a mut [f32]) {
        for ((p, &g), m) in p.iter_mut().zip(g).zip(m) {
            let g = g * self.grad_scale;
            let direction = g.mul_add(self.one_minus_beta1, *m * self.beta1);
            *p = *p * self.decay - sign(direction) * self.learning_rate;
            *m = g.mul_add(self.one_minus_beta2, *m * self.beta2);
        }
    }
}

/// −1, 0 or 1; `f32::signum` of 0 is 1.
#[inline(always)]
fn sign(x: f32) -> f32 {
    f32::from(i8::from(x > 0.0) - i8::from(x < 0.0))
}

pub(super) fn composed(
    param: &Param,
    grad: &Tensor,
    [first]: [&mut Tensor; 1],
    (beta1, beta2): (f64, f64),
    step: Step,
) -> Result<()> {
    let direction = ((&*first * beta1)? + (grad * (1.0 - beta1))?)?.sign()?;
    *first = ((&*first * beta2)? + (grad * (1.0 - beta2))?)?;
    param.set(&((param.tensor().detach() * step.decay())? - (direction * step.learning_rate)?)?)?;
    Ok(())
}
