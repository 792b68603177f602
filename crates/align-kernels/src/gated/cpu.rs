//! The unit on slices: one pass forward and, computing the activation again, one backward for both gradients.

use std::mem::MaybeUninit;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::Activation;
use super::composed::TANH;
use crate::cpu::{exp, filled, normal_share, sigmoid, simd, slice, tensor};

/// Elements that one thread takes at a time.
const BLOCK: usize = 16 * 1024;

/// `activation(gate) ⊙ up`. Both contiguous f32 on the CPU.
pub(super) fn unit(activation: Activation, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let block = match activation {
        Activation::Silu => silu_block,
        Activation::Gelu => gelu_block,
        Activation::GeluTanh => gelu_tanh_block,
    };
    tensor(units(block, &slice(gate)?, &slice(up)?), gate.shape())
}

/// The gradients of gate and up, from that of the unit.
pub(super) fn gradients(
    activation: Activation,
    gate: &Tensor,
    up: &Tensor,
    grad: &Tensor,
) -> Result<[Tensor; 2]> {
    let block = match activation {
        Activation::Silu => silu_backward,
        Activation::Gelu => gelu_backward,
        Activation::GeluTanh => gelu_tanh_backward,
    };
    let (shape, grad) = (gate.shape(), grad.contiguous()?);
    let (dgate, dup) = backward(block, &slice(gate)?, &slice(up)?, &slice(&grad)?);
    Ok([tensor(dgate, shape)?, tensor(dup, shape)?])
}

type Forward = fn(&[f32], &[f32], &mut [MaybeUninit<f32>]);

#[expect(unsafe_code, reason = "the result is written to memory that is not zeroed first")]
fn units(block: Forward, gate: &[f32], up: &[f32]) -> Vec<f32> {
    assert_eq!(gate.len(), up.len(), "gate and up of one length");
    // SAFETY: all three are cut into the same blocks, as their lengths agree; each form of `block` writes every element.
    unsafe {
        filled(gate.len(), |y| {
            y.par_chunks_mut(BLOCK)
                .zip(gate.par_chunks(BLOCK))
                .zip(up.par_chunks(BLOCK))
                .for_each(|((y, gate), up)| block(gate, up, y));
        })
    }
}

type Backward = fn(&[f32], &[f32], &[f32], &mut [MaybeUninit<f32>], &mut [MaybeUninit<f32>]);

#[expect(unsafe_code, reason = "the gradients are written to memory that is not zeroed first")]
fn backward(block: Backward, gate: &[f32], up: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    assert_eq!([gate.len(); 2], [up.len(), grad.len()], "gate, up and gradient of one length");
    let mut gate_gradient = Vec::new();
    // SAFETY: all five are cut into the same blocks, as their lengths agree; each form of `block` writes every element
    // of each in both gradients.
    let up_gradient = unsafe {
        filled(gate.len(), |dup| {
            gate_gradient = filled(gate.len(), |dgate| {
                dgate
                    .par_chunks_mut(BLOCK)
                    .zip(dup.par_chunks_mut(BLOCK))
                    .zip(gate.par_chunks(BLOCK))
                    .zip(up.par_chunks(BLOCK))
                    .zip(grad.par_chunks(BLOCK))
                    .for_each(|((((dgate, dup), gate), up), grad)| block(gate, up, grad, dgate, dup));
            });
        })
    };
    (gate_gradient, up_gradient)
}

/// The loops of an activation: what the gate becomes, and its value and slope.
macro_rules! activation {
    ($forward:ident, $backward:ident, $value:expr, $value_and_slope:expr) => {
        simd! {
            fn $forward(gate: &[f32], up: &[f32], y: &mut [MaybeUninit<f32>]) {
                for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                    y.write($value(*gate) * up);
                }
            }
        }

        simd! {
            fn $backward(
                gate: &[f32],
                up: &[f32],
                grad: &[f32],
                dgate: &mut [MaybeUninit<f32>],
                dup: &mut [MaybeUninit<f32>],
            ) {
                let inputs = gate.iter().zip(up).zip(grad);
                for (((gate, up), grad), (dgate, dup)) in inputs.zip(dgate.iter_mut().zip(dup)) {
                    let (value, slope): (f32, f32) = $value_and_slope(*gate);
                    dgate.write(grad * up * slope);
                    dup.write(grad * value);
                }
            }
        }
    };
}

activation!(silu_block, silu_backward, silu, silu_and_slope);
activation!(gelu_block, gelu_backward, gelu, gelu_and_slope);
activation!(gelu_tanh_block, gelu_tanh_backward, gelu_tanh, gelu_tanh_and_slope);

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

#[inline(always)]
fn silu_and_slope(x: f32) -> (f32, f32) {
    let s = sigmoid(x);
    (x * s, s * (1.0 + x * (1.0 - s)))
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    x * normal_share(x)
}

#[inline(always)]
fn gelu_and_slope(x: f32) -> (f32, f32) {
    let share = normal_share(x);
    // 1 / √(2π).
    (x * share, share + x * exp(-0.5 * x * x) * 0.398_942_3)
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    let [factor, cube] = TANH.map(|x| x as f32);
    x * sigmoid(factor * x * (1.0 + cube * x * x))
}

#[inline(always)]
fn gelu_tanh_and_slope(x: f32) -> (f32, f32) {
    let [factor, cube] = TANH.map(|x| x as f32);
    let s = sigmoid(factor * x * (1.0 + cube * x * x));
    (x * s, s + s * (1.0 - s) * x * factor * (1.0 + 3.0 * cube * x * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "gate and up of one length")]
    fn a_gate_without_its_other_half_is_refused() {
        units(silu_block, &[1.0; 4], &[1.0; 3]);
    }

    #[test]
    #[should_panic(expected = "of one length")]
    fn a_gradient_that_is_too_short_is_refused() {
        backward(silu_backward, &[1.0; 4], &[1.0; 4], &[1.0; 3]);
    }
}
