//! The second half of a decoder layer of Llama: a gated feed-forward layer over normalised rows, added to the rows.
//!
//! As one op because of what lies between: three tensors of the intermediate size, the largest of a layer.
//! candle's backward pass fills a zeroed tensor for the gradient of each and adds to it, on one thread.

pub(crate) mod composed;
mod cpu;

use candle_core::{Result, Tensor};

use crate::Param;
use crate::cpu::is_f32_on_cpu;
use crate::linear::Layer;

/// `x + down(silu(gate(n)) ⊙ up(n))` with `n = rms_norm(x)`: `[rows, hidden]` → `[rows, hidden]`, for `layers` gate
/// and up `[intermediate, hidden]` and down `[hidden, intermediate]`, each a weight and its bias.
///
/// Values and gradients are to the bit those of the separate ops.
///
/// # Errors
/// If the shapes do not fit.
pub fn mlp_block(x: &Tensor, norm: &Param, norm_epsilon: f64, layers: [Layer<'_>; 3]) -> Result<Tensor> {
    let weights = layers.map(|(weight, _)| weight);
    let params = [norm].into_iter().chain(weights);
    let on_cpu = is_f32_on_cpu(&[x]) && params.into_iter().all(|param| is_f32_on_cpu(&[param.tensor()]));
    // The one input that the op is recorded for is `x`: if it is not tracked, the separate ops are.
    let fused = on_cpu && x.track_op() && layers.iter().all(|(_, bias)| bias.is_none());
    if fused && shapes_fit(x, norm, weights) {
        cpu::mlp_block(x, norm, norm_epsilon, weights)
    } else {
        composed::mlp_block(x, norm, norm_epsilon, layers)
    }
}

/// If not, the separate ops say what is wrong.
fn shapes_fit(x: &Tensor, norm: &Param, [gate, up, down]: [&Param; 3]) -> bool {
    let (x, [norm, gate, up, down]) = (x.dims(), [norm, gate, up, down].map(|param| param.tensor().dims()));
    matches!((x, norm, gate, up, down), (&[_, hidden], &[n], &[inner, a], &[b, c], &[d, e])
        if [n, a, c, d] == [hidden; 4] && [b, e] == [inner; 2])
}
