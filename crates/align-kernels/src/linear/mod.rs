//! `x Wᵀ + b`, accumulating the weight's gradient in its own buffer.
//!
//! candle's matmul computes both gradients whether or not they are wanted, and adds the transposed
//! weight gradient element by element. Here a frozen weight costs nothing in the backward pass, and a
//! tracked one gets `gᵀ x` directly in the weight's own layout; on the CPU, in the buffer itself.

pub(crate) mod composed;
mod cpu;

use candle_core::{Result, Tensor, bail};

use crate::Param;
use crate::cpu::is_f32_on_cpu;
pub(crate) use cpu::{Backward, add_weight_gradient, products};

/// A weight and its bias.
pub(crate) type Layer<'a> = (&'a Param, Option<&'a Param>);

/// `x Wᵀ + b`: `[rows, inputs]` → `[rows, outputs]`, for a weight `[outputs, inputs]` and a bias
/// `[outputs]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn linear(x: &Tensor, weight: &Param, bias: Option<&Param>) -> Result<Tensor> {
    check(x, weight, bias)?;
    if is_f32_on_cpu(&[x, weight.tensor(), bias.unwrap_or(weight).tensor()]) {
        cpu::linear(x, weight, bias)
    } else {
        composed::linear(x, weight, bias)
    }
}

/// [`linear`] for several layers, each a weight and its bias, that take the same input.
///
/// In decoding, where rows are few, that is one parallel pass over all weights.
///
/// # Errors
/// If the shapes do not fit.
pub fn linears<const N: usize>(x: &Tensor, layers: [Layer<'_>; N]) -> Result<[Tensor; N]> {
    let mut together = !x.track_op();
    for (weight, bias) in layers {
        check(x, weight, bias)?;
        let bias = bias.unwrap_or(weight);
        together &= is_f32_on_cpu(&[x, weight.tensor(), bias.tensor()]);
        together &= !weight.is_tracked() && !bias.is_tracked();
    }
    let outputs = if together {
        cpu::untracked(x, layers)?
    } else {
        layers.iter().map(|(weight, bias)| linear(x, weight, *bias)).collect::<Result<_>>()?
    };
    Ok(outputs.try_into().expect("one output per layer"))
}

pub(crate) fn check(x: &Tensor, weight: &Param, bias: Option<&Param>) -> Result<()> {
    let (_, inputs) = x.dims2()?;
    let (outputs, expected) = weight.tensor().dims2()?;
    if inputs != expected {
        bail!("linear: expected input [rows, {expected}], got {:?}", x.shape());
    }
    if let Some(bias) = bias.filter(|bias| bias.tensor().dims() != [outputs]) {
        bail!("linear: expected bias [{outputs}], got {:?}", bias.tensor().shape());
    }
    Ok(())
}
