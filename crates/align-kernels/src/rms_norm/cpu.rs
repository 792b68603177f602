//! RMSNorm on slices: one pass forward, which keeps the inverse root of each row, and one pass backward for
//! both gradients.

use std::mem::MaybeUninit;
use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::RmsNorm;
use crate::GradBuffer;
use crate::cpu::{BLOCK_ROWS, add_assign, dot, dot3, filled, simd, slice, sum_blocks, tensor};

/// The normalised rows, and the way back. All f32 on the CPU, of fitting shapes.
pub(super) fn rms_norm(x: &Tensor, norm: &RmsNorm) -> Result<(Tensor, Backward)> {
    let (x, buffer, weight) = (x.contiguous()?, norm.weight.grad_buffer().cloned(), norm.factors()?);
    let (y, inverse_roots) = forward(&slice(&x)?, &slice(&weight)?, norm.epsilon as f32);
    Ok((tensor(y, x.shape())?, Backward { x, weight, buffer, inverse_roots }))
}

/// The backward pass of one run of the op.
pub(super) struct Backward {
    x: Tensor,
    weight: Tensor,
    buffer: Option<Arc<GradBuffer>>,
    inverse_roots: Vec<f32>,
}

impl Backward {
    /// Adds the weight's gradient, if it is tracked; that of the rows, if it is wanted.
    pub(super) fn gradients(&self, grad: &Tensor, wanted: bool) -> Result<[Option<Tensor>; 1]> {
        let grad = grad.contiguous()?;
        let (x, grad) = (slice(&self.x)?, slice(&grad)?);
        if let Some(buffer) = &self.buffer {
            let hidden = self.weight.elem_count();
            let dw = weight_gradient(&x, &grad, hidden, &self.inverse_roots);
            buffer.accumulate_in_place(&hidden.into(), || dw.clone(), |sum| add_assign(sum, &dw))?;
        }
        if !wanted {
            return Ok([None]);
        }
        let dx = input_gradient(&x, &grad, &slice(&self.weight)?, &self.inverse_roots);
        Ok([Some(tensor(dx, self.x.shape())?)])
    }
}

/// The normalised rows, and 1 / √(mean(x²) + ε) of each.
#[expect(unsafe_code, reason = "the result is written to memory that is not zeroed first")]
fn forward(x: &[f32], w: &[f32], epsilon: f32) -> (Vec<f32>, Vec<f32>) {
    let hidden = w.len().max(1);
    let mut inverse_roots = vec![0f32; x.len() / hidden];
    assert_eq!(x.len(), inverse_roots.len() * w.len(), "rows of the weight's width");
    // SAFETY: `x`, the result and `inverse_roots` are cut into the same blocks of whole rows, as their lengths agree;
    // `forward_rows` writes every element of each row.
    let y = unsafe {
        filled(x.len(), |y| {
            y.par_chunks_mut(BLOCK_ROWS * hidden)
                .zip(x.par_chunks(BLOCK_ROWS * hidden))
                .zip(inverse_roots.par_chunks_mut(BLOCK_ROWS))
                .for_each(|((y, x), roots)| forward_rows(x, w, epsilon, y, roots));
        })
    };
    (y, inverse_roots)
}

simd! {
    fn forward_rows(x: &[f32], w: &[f32], epsilon: f32, y: &mut [MaybeUninit<f32>], roots: &mut [f32]) {
        let rows = x.chunks_exact(w.len()).zip(y.chunks_exact_mut(w.len()));
        for ((x, y), root) in rows.zip(roots) {
            *root = 1.0 / (dot(x, x) / w.len() as f32 + epsilon).sqrt();
            for ((y, x), w) in y.iter_mut().zip(x).zip(w) {
                y.write(x * *root * w);
            }
        }
    }
}

/// dx = r (w ⊙ g − x̂ mean(w ⊙ g ⊙ x̂)).
#[expect(unsafe_code, reason = "the gradient is written to memory that is not zeroed first")]
fn input_gradient(x: &[f32], grad: &[f32], w: &[f32], inverse_roots: &[f32]) -> Vec<f32> {
    assert_eq!(x.len(), inverse_roots.len() * w.len(), "rows of the weight's width");
    assert_eq!(x.len(), grad.len(), "a gradient of the rows");
    let block = BLOCK_ROWS * w.len().max(1);
    // SAFETY: `x`, `grad`, the result and `inverse_roots` are cut into the same blocks of whole rows, as their lengths
    // agree; `backward_rows` writes every element of each row.
    unsafe {
        filled(x.len(), |dx| {
            dx.par_chunks_mut(block)
                .zip(x.par_chunks(block))
                .zip(grad.par_chunks(block))
                .zip(inverse_roots.par_chunks(BLOCK_ROWS))
                .for_each(|(((dx, x), grad), roots)| backward_rows(x, grad, w, roots, dx));
        })
    }
}

simd! {
    fn backward_rows(x: &[f32], grad: &[f32], w: &[f32], roots: &[f32], dx: &mut [MaybeUninit<f32>]) {
        let rows = x.chunks_exact(w.len()).zip(grad.chunks_exact(w.len())).zip(dx.chunks_exact_mut(w.len()));
        for (((x, grad), dx), root) in rows.zip(roots) {
            let projection = dot3(w, grad, x) * root / w.len() as f32;
            for (((dx, x), grad), w) in dx.iter_mut().zip(x).zip(grad).zip(w) {
                dx.write((w * grad - x * root * projection) * root);
            }
        }
    }
}

/// dw = Σ_rows g ⊙ x̂.
fn weight_gradient(x: &[f32], grad: &[f32], hidden: usize, inverse_roots: &[f32]) -> Vec<f32> {
    sum_blocks(inverse_roots.len(), hidden, |block, sum| {
        let rows = block * BLOCK_ROWS..inverse_roots.len().min((block + 1) * BLOCK_ROWS);
        let elements = rows.start * hidden..rows.end * hidden;
        add_weight_gradient(&x[elements.clone()], &grad[elements], &inverse_roots[rows], sum);
    })
}

simd! {
    fn add_weight_gradient(x: &[f32], grad: &[f32], roots: &[f32], sum: &mut [f32]) {
        let rows = x.chunks_exact(sum.len()).zip(grad.chunks_exact(sum.len()));
        for ((x, grad), root) in rows.zip(roots) {
            for ((sum, x), grad) in sum.iter_mut().zip(x).zip(grad) {
                *sum += x * root * grad;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a gradient of the rows")]
    fn a_gradient_that_is_too_short_is_refused() {
        input_gradient(&[1.0; 6], &[1.0; 3], &[1.0; 3], &[1.0; 2]);
    }

    #[test]
    #[should_panic(expected = "rows of the weight's width")]
    fn too_few_rows_are_refused_backward() {
        input_gradient(&[1.0; 6], &[1.0; 6], &[1.0; 3], &[1.0]);
    }

    #[test]
    #[should_panic(expected = "rows of the weight's width")]
    fn a_part_of_a_row_is_refused_forward() {
        forward(&[1.0; 7], &[1.0; 3], 0.0);
    }
}
