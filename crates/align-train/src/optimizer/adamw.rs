//! AdamW (Loshchilov & Hutter, arXiv:1711.05101), as torch computes it:
//!
//! ```text
//! p ← p · (1 − ηλ)
//! m ← m + (1 − β₁)(g − m)
//! v ← β₂ v + (1 − β₂) g²
//! p ← p − η/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
//! ```

use align_kernels::Param;
use candle_core::Tensor;
use rayon::prelude::*;

use super::in_place::{BLOCK, Elementwise, in_blocks};
use super::rule::Step;
use crate::Result;

/// The coefficients of AdamW. Names and defaults are those of TRL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// β₁, how slowly the first moment moves.
    pub beta1: f64,
    /// β₂, how slowly the second moment moves.
    pub beta2: f64,
    /// ε, added to the root of the second moment.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl Adam {
    /// 1 − β₁ᵗ and √(1 − β₂ᵗ).
    pub(super) fn corrections(self, step: Step) -> (f64, f64) {
        let t = step.number as f64;
        (1.0 - self.beta1.powf(t), (1.0 - self.beta2.powf(t)).sqrt())
    }
}

/// Both moments in one pass.
pub(super) fn step(p: &mut [f32], g: &[f32], [m, v]: [&mut [f32]; 2], adam: Adam, step: Step) {
    let (correction1, correction2_sqrt) = adam.corrections(step);
    let block = AdamWBlock {
        grad_scale: step.grad_scale as f32,
        decay: step.decay() as f32,
        towards: (1.0 - adam.beta1) as f32,
        beta2: adam.beta2 as f32,
        one_minus_beta2: (1.0 - adam.beta2) as f32,
        correction: (1.0 / correction2_sqrt) as f32,
        epsilon: adam.epsilon as f32,
        minus_step: -(step.learning_rate / correction1) as f32,
    };
    in_blocks(p, g, (m.par_chunks_mut(BLOCK), v.par_chunks_mut(BLOCK)).into_par_iter(), &block);
}

struct AdamWBlock {
    grad_scale: f32,
    decay: f32,
    towards: f32,
    beta2: f32,
    one_minus_beta2: f32,
    correction: f32,
    epsilon: f32,
    minus_step: f32,
}

impl<'a> Elementwise<(&'a mut [f32], &'a mut [f32])> for AdamWBlock {
    #[inline(always)]
    fn block(&self, p: &mut [f32], g: &[f32], (m, v): (&'a mut [f32], &'a mut [f32])) {
        let &Self { grad_scale, decay, towards, beta2, one_minus_beta2, correction, epsilon, minus_step } =
            self;
        for ((p, &g), (m, v)) in p.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
            let g = g * grad_scale;
            *m += (g - *m) * towards;
            *v = *v * beta2 + g * one_minus_beta2 * g;
            *p = *p * decay + *m * minus_step / (v.sqrt() * correction + epsilon);
        }
    }
}

/// The definition in tensor operations; orders them as torch does, so that results agree to f32 rounding.
pub(super) fn composed(
    param: &Param,
    grad: &Tensor,
    [first, second]: [&mut Tensor; 2],
    adam: Adam,
    step: Step,
) -> Result<()> {
    let (correction1, correction2_sqrt) = adam.corrections(step);
    *first = (&*first + ((grad - &*first)? * (1.0 - adam.beta1))?)?;
    *second = ((&*second * adam.beta2)? + ((grad * (1.0 - adam.beta2))? * grad)?)?;
    let denominator = ((second.sqrt()? / correction2_sqrt)? + adam.epsilon)?;
    let update = ((&*first * -(step.learning_rate / correction1))? / denominator)?;
    param.set(&((param.tensor().detach() * step.decay())? + update)?)?;
    Ok(())
}
