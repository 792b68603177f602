//! The feed-forward layer of Llama: two projections, their gated unit, and one back.
//!
//! As one op because of what lies between: three tensors of the intermediate size, the largest of a layer.
//! candle's backward pass fills a zeroed tensor for the gradient of each and adds to it, on one thread.

pub(crate) mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::Param;
use crate::cpu::is_f32_on_cpu;

/// A weight and its bias, as [`linear`](crate::linear) takes them.
type Layer<'a> = (&'a Param, Option<&'a Param>);

/// `down(silu(gate(x)) ⊙ up(x))`: `[rows, hidden]` → `[rows, hidden]`, for layers `[intermediate, hidden]`
/// twice and `[hidden, intermediate]`, each a weight and its bias.
///
/// Values and gradients are to the bit those of [`linears`](crate::linears), [`swiglu`](crate::swiglu) and
/// [`linear`](crate::linear) one after the other.
///
/// # Errors
/// If the shapes do not fit.
pub fn gated_mlp(x: &Tensor, gate: Layer<'_>, up: Layer<'_>, down: Layer<'_>) -> Result<Tensor> {
    let layers = [gate, up, down];
    let weights = layers.map(|(weight, _)| weight);
    let on_cpu = is_f32_on_cpu(&[x]) && weights.iter().all(|weight| is_f32_on_cpu(&[weight.tensor()]));
    // The one input that the op is recorded for is `x`: if it is not tracked, the separate ops are.
    let fused = on_cpu && x.track_op() && layers.iter().all(|(_, bias)| bias.is_none());
    if fused && shapes_fit(x, weights) { cpu::gated_mlp(x, weights) } else { composed::gated_mlp(x, layers) }
}

/// If not, the separate ops say what is wrong.
fn shapes_fit(x: &Tensor, [gate, up, down]: [&Param; 3]) -> bool {
    let (x, [gate, up, down]) = (x.dims(), [gate, up, down].map(|weight| weight.tensor().dims()));
    matches!((x, gate, up, down), (&[_, hidden], &[inner, a], &[b, c], &[d, e])
        if [a, c, d] == [hidden; 3] && [b, e] == [inner; 2])
}
