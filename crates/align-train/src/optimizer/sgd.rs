//! Stochastic gradient descent as `torch.optim.SGD` computes it, to the bit. Its weight decay λ is a penalty in the gradient,
//! not decoupled. With momentum μ and dampening τ:
//!
//! ```text
//! g ← g + λ p
//! b ← g at the first step, then μ b + (1 − τ) g
//! p ← p − η b, or p − η (g + μ b) with Nesterov's momentum; without momentum p − η g
//! ```

use align_kernels::Param;
use candle_core::Tensor;
use rayon::prelude::*;

use super::buffer::{Buffer, f32s, tensors};
use super::in_place::{BLOCK, Elementwise, in_blocks};
use super::rule::Step;
use crate::Result;

/// The momentum of stochastic gradient descent. Names and defaults are those of torch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Momentum {
    /// μ; 0: none.
    pub momentum: f64,
    /// τ, how much of a gradient does not enter into the momentum.
    pub dampening: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
}

pub(super) fn step(p: &mut [f32], g: &[f32], buffers: &mut [Buffer], momentum: Momentum, step: Step) {
    let block = SgdBlock {
        grad_scale: step.grad_scale as f32,
        weight_decay: step.weight_decay as f32,
        minus_rate: -step.learning_rate as f32,
        // The first gradient is the first momentum.
        momentum: if step.number == 1 { 0.0 } else { momentum.momentum as f32 },
        share: if step.number == 1 { 1.0 } else { (1.0 - momentum.dampening) as f32 },
        ahead: momentum.nesterov.then_some(momentum.momentum as f32),
    };
    if buffers.is_empty() {
        return in_blocks(p, g, rayon::iter::repeat_n((), g.len().div_ceil(BLOCK)), &block);
    }
    let [b] = f32s(buffers);
    in_blocks(p, g, b.par_chunks_mut(BLOCK), &block);
}

struct SgdBlock {
    grad_scale: f32,
    weight_decay: f32,
    minus_rate: f32,
    momentum: f32,
    share: f32,
    /// Of Nesterov's momentum.
    ahead: Option<f32>,
}

impl Elementwise<()> for SgdBlock {
    #[inline(always)]
    fn block(&self, p: &mut [f32], g: &[f32], (): ()) {
        for (p, &g) in p.iter_mut().zip(g) {
            let g = p.mul_add(self.weight_decay, g * self.grad_scale);
            *p = g.mul_add(self.minus_rate, *p);
        }
    }
}

impl<'a> Elementwise<&'a mut [f32]> for SgdBlock {
    #[inline(always)]
    fn block(&self, p: &mut [f32], g: &[f32], b: &'a mut [f32]) {
        for ((p, &g), b) in p.iter_mut().zip(g).zip(b) {
            let g = p.mul_add(self.weight_decay, g * self.grad_scale);
            *b = g.mul_add(self.share, *b * self.momentum);
            let direction = self.ahead.map_or(*b, |momentum| b.mul_add(momentum, g));
            *p = direction.mul_add(self.minus_rate, *p);
        }
    }
}

pub(super) fn composed(
    param: &Param,
    grad: &Tensor,
    buffers: &mut [Buffer],
    momentum: Momentum,
    step: Step,
) -> Result<()> {
    let value = param.tensor().detach();
    let grad = (grad + (&value * step.weight_decay)?)?;
    let mut direction = grad.clone();
    if !buffers.is_empty() {
        let [b] = tensors(buffers);
        *b = match step.number {
            1 => grad.clone(),
            _ => ((&*b * momentum.momentum)? + (&grad * (1.0 - momentum.dampening))?)?,
        };
        direction = if momentum.nesterov { (&grad + (&*b * momentum.momentum)?)? } else { b.clone() };
    }
    param.set(&(value - (direction * step.learning_rate)?)?)?;
    Ok(())
}
