//! Steps on the CPU: one pass over parameter, gradient and state, in place. Temporary tensors would cost more than the
//! arithmetic. Threads share large parameters in blocks of one size, so that their number changes no result. Nor does the
//! width of the registers that `pulp` finds: the same operations in the same order, contracted only where `mul_add` says so.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, bail};
use pulp::Arch;
use rayon::prelude::*;

/// Elements that one thread takes at a time.
pub(super) const BLOCK: usize = 32 * 1024;

/// The step of one block: parameter, gradient, and the block of the state `S`.
pub(super) trait Elementwise<S>: Sync {
    /// To be marked `inline(always)`: it is compiled for the registers that are found.
    fn block(&self, param: &mut [f32], grad: &[f32], state: S);
}

/// Makes the step of every block; `state` is cut into as many blocks of [`BLOCK`] elements.
pub(super) fn in_blocks<I: IndexedParallelIterator>(
    param: &mut [f32],
    grad: &[f32],
    state: I,
    step: &impl Elementwise<I::Item>,
) {
    let arch = Arch::new();
    param
        .par_chunks_mut(BLOCK)
        .zip(grad.par_chunks(BLOCK))
        .zip(state)
        .for_each(|((p, g), state)| arch.dispatch(|| step.block(p, g, state)));
}

/// Calls `update` with elements of a parameter and their gradient as slices. Both are contiguous.
pub(super) fn update(
    param: &Tensor,
    own: Range<usize>,
    grad: &Tensor,
    update: impl FnOnce(&mut [f32], &[f32]) -> crate::Result<()>,
) -> Result<()> {
    if own.len() != grad.elem_count() || own.end > param.elem_count() {
        bail!("gradient {:?} of elements {own:?} of a parameter {:?}", grad.dims(), param.dims());
    }
    param.inplace_op2(grad, &Slices(RefCell::new(Some(update)), own))
}

/// An in-place operation may change one tensor and itself only by shared reference.
struct Slices<F>(RefCell<Option<F>>, Range<usize>);

impl<F: FnOnce(&mut [f32], &[f32]) -> crate::Result<()>> InplaceOp2 for Slices<F> {
    fn name(&self) -> &'static str {
        "optimizer step"
    }

    fn cpu_fwd(&self, p: &mut CpuStorage, p_at: &Layout, g: &CpuStorage, g_at: &Layout) -> Result<()> {
        let (CpuStorage::F32(p), CpuStorage::F32(g)) = (p, g) else {
            bail!("optimizer step: parameter and gradient must be f32");
        };
        let (Some((p_start, p_end)), Some((g_start, g_end))) =
            (p_at.contiguous_offsets(), g_at.contiguous_offsets())
        else {
            bail!("optimizer step: parameter and gradient must be contiguous");
        };
        let update = self.0.take().expect("an operation runs once");
        update(&mut p[p_start..p_end][self.1.clone()], &g[g_start..g_end]).map_err(candle_core::Error::wrap)
    }
}
