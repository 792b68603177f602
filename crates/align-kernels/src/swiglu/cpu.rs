//! SwiGLU on slices: one pass forward and, computing the sigmoid again, one backward for both gradients.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use crate::cpu::{exp, filled, sigmoid, simd, slice, tensor};

/// Elements that one thread takes at a time.
const BLOCK: usize = 16 * 1024;

/// `silu(gate) ⊙ up`. Both contiguous f32 on the CPU.
pub(super) fn unit(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    tensor(units(&slice(gate)?, &slice(up)?), gate.shape())
}

/// The gradients of gate and up, from that of the unit.
pub(super) fn gradients(gate: &Tensor, up: &Tensor, grad: &Tensor) -> Result<[Tensor; 2]> {
    let (shape, grad) = (gate.shape(), grad.contiguous()?);
    let (dgate, dup) = backward(&slice(gate)?, &slice(up)?, &slice(&grad)?);
    Ok([tensor(dgate, shape)?, tensor(dup, shape)?])
}

#[expect(unsafe_code, reason = "the result is written to memory that is not zeroed first")]
fn units(gate: &[f32], up: &[f32]) -> Vec<f32> {
    assert_eq!(gate.len(), up.len(), "gate and up of one length");
    // SAFETY: all three are cut into the same blocks, as their lengths agree; `unit_block` writes every element of each.
    unsafe {
        filled(gate.len(), |y| {
            y.par_chunks_mut(BLOCK)
                .zip(gate.par_chunks(BLOCK))
                .zip(up.par_chunks(BLOCK))
                .for_each(|((y, gate), up)| unit_block(gate, up, y));
        })
    }
}

simd! {
    fn unit_block(gate: &[f32], up: &[f32], y: &mut [MaybeUninit<f32>]) {
        for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
            y.write(gate / (1.0 + exp(-gate)) * up);
        }
    }
}

#[expect(unsafe_code, reason = "the gradients are written to memory that is not zeroed first")]
fn backward(gate: &[f32], up: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    assert_eq!([gate.len(); 2], [up.len(), grad.len()], "gate, up and gradient of one length");
    let mut gate_gradient = Vec::new();
    // SAFETY: all five are cut into the same blocks, as their lengths agree; `backward_block` writes every element of
    // each in both gradients.
    let up_gradient = unsafe {
        filled(gate.len(), |dup| {
            gate_gradient = filled(gate.len(), |dgate| {
                dgate
                    .par_chunks_mut(BLOCK)
                    .zip(dup.par_chunks_mut(BLOCK))
                    .zip(gate.par_chunks(BLOCK))
                    .zip(up.par_chunks(BLOCK))
                    .zip(grad.par_chunks(BLOCK))
                    .for_each(|((((dgate, dup), gate), up), grad)| {
                        backward_block(gate, up, grad, dgate, dup);
                    });
            });
        })
    };
    (gate_gradient, up_gradient)
}

simd! {
    fn backward_block(
        gate: &[f32],
        up: &[f32],
        grad: &[f32],
        dgate: &mut [MaybeUninit<f32>],
        dup: &mut [MaybeUninit<f32>],
    ) {
        let inputs = gate.iter().zip(up).zip(grad);
        for (((gate, up), grad), (dgate, dup)) in inputs.zip(dgate.iter_mut().zip(dup)) {
            let s = sigmoid(*gate);
            dgate.write(grad * up * (s * (1.0 + gate * (1.0 - s))));
            dup.write(grad * (gate * s));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "gate and up of one length")]
    fn a_gate_without_its_other_half_is_refused() {
        units(&[1.0; 4], &[1.0; 3]);
    }

    #[test]
    #[should_panic(expected = "of one length")]
    fn a_gradient_that_is_too_short_is_refused() {
        backward(&[1.0; 4], &[1.0; 4], &[1.0; 3]);
    }
}
