//! The AdamW step on the CPU: one pass over parameter, gradient and both moments, in place. Temporary
//! tensors would cost more than the arithmetic. Threads share large parameters; elements do not depend on
//! one another, so that their number changes no result. Nor does the width of the registers that `pulp`
//! finds: the same operations in the same order, none contracted.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};
use pulp::Arch;
use rayon::prelude::*;

use super::Coefficients;

/// Elements that one thread takes at a time.
const BLOCK: usize = 32 * 1024;

/// Updates `param` and the moments. All have the same number of elements; `param` and `grad` are
/// contiguous.
pub(super) fn step(
    param: &Tensor,
    grad: &Tensor,
    first: &mut [f32],
    second: &mut [f32],
    coefficients: Coefficients,
) -> Result<()> {
    if param.shape() != grad.shape() {
        bail!("gradient {:?} of a parameter {:?}", grad.dims(), param.dims());
    }
    param.inplace_op2(grad, &Step { moments: RefCell::new((first, second)), coefficients })
}

struct Step<'a> {
    /// An in-place operation may change one tensor and itself only by shared reference.
    moments: RefCell<(&'a mut [f32], &'a mut [f32])>,
    coefficients: Coefficients,
}

impl InplaceOp2 for Step<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, p: &mut CpuStorage, p_at: &Layout, g: &CpuStorage, g_at: &Layout) -> Result<()> {
        let (CpuStorage::F32(p), CpuStorage::F32(g)) = (p, g) else {
            bail!("adamw: parameter and gradient must be f32");
        };
        let (Some((p_start, p_end)), Some((g_start, g_end))) =
            (p_at.contiguous_offsets(), g_at.contiguous_offsets())
        else {
            bail!("adamw: parameter and gradient must be contiguous");
        };
        let (first, second) = &mut *self.moments.borrow_mut();
        let (coefficients, arch) = (&self.coefficients, Arch::new());
        p[p_start..p_end]
            .par_chunks_mut(BLOCK)
            .zip(g[g_start..g_end].par_chunks(BLOCK))
            .zip(first.par_chunks_mut(BLOCK))
            .zip(second.par_chunks_mut(BLOCK))
            .for_each(|(((p, g), m), v)| arch.dispatch(|| step_block(p, g, m, v, coefficients)));
        Ok(())
    }
}

#[inline(always)]
fn step_block(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], c: &Coefficients) {
    let (grad_scale, decay) = (c.grad_scale as f32, c.decay as f32);
    let (towards, beta2, one_minus_beta2) = ((1.0 - c.beta1) as f32, c.beta2 as f32, (1.0 - c.beta2) as f32);
    let (correction, epsilon, minus_step) =
        ((1.0 / c.correction2_sqrt) as f32, c.epsilon as f32, -c.step_size as f32);
    for ((p, &g), (m, v)) in p.iter_mut().zip(g).zip(m.iter_mut().zip(v)) {
        let g = g * grad_scale;
        *m += (g - *m) * towards;
        *v = *v * beta2 + g * one_minus_beta2 * g;
        *p = *p * decay + *m * minus_step / (v.sqrt() * correction + epsilon);
    }
}
