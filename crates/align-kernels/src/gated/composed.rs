//! The unit of tensor operations. Half precision is computed in f32.

use candle_core::{Result, Tensor};

use super::Activation;
use crate::tape::wide;

/// `2 √(2/π)` and the factor of the cube.
pub(super) const TANH: [f64; 2] = [2.0 * 0.797_884_560_802_865_4, 0.044_715];

/// `activation(gate) ⊙ up`.
pub(super) fn unit(activation: Activation, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    (value(activation, &wide(gate)?)? * wide(up)?)?.to_dtype(gate.dtype())
}

/// What the gate becomes.
fn value(activation: Activation, gate: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::Silu => gate.silu(),
        Activation::Gelu => gate.gelu_erf(),
        Activation::GeluTanh => gate * sigmoid(&inner(gate)?)?,
    }
}

/// The gradients of gate and up, from that of the unit.
pub(super) fn gradients(
    activation: Activation,
    gate: &Tensor,
    up: &Tensor,
    grad: &Tensor,
) -> Result<[Tensor; 2]> {
    let (dtype, gate, up, grad) = (gate.dtype(), &wide(gate)?, &wide(up)?, &wide(grad)?);
    let slope = match activation {
        Activation::Silu => {
            let s = sigmoid(gate)?;
            (&s * ((gate * (1.0 - &s)?)? + 1.0)?)?
        }
        Activation::Gelu => {
            let share = ((gate * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?;
            let density = ((gate.sqr()? * -0.5)?.exp()?
                * (0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2))?;
            ((share * 0.5)? + (gate * density)?)?
        }
        Activation::GeluTanh => {
            let s = sigmoid(&inner(gate)?)?;
            let inner_slope = ((gate.sqr()? * (3.0 * TANH[1]))? + 1.0)?;
            let rise = ((&s * (1.0 - &s)?)? * (gate * (inner_slope * TANH[0])?)?)?;
            (s + rise)?
        }
    };
    let (dgate, dup) = (((grad * up)? * slope)?, (grad * value(activation, gate)?)?);
    Ok([dgate.to_dtype(dtype)?, dup.to_dtype(dtype)?])
}

/// `2 √(2/π) (x + 0.044715 x³)`.
fn inner(x: &Tensor) -> Result<Tensor> {
    (x * ((x.sqr()? * TANH[1])? + 1.0)?)? * TANH[0]
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}
