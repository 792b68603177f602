//! The block of separate ops.

use candle_core::{Result, Tensor};

use crate::linear::Layer;
use crate::{Param, linear, linears, rms_norm, swiglu};

/// See [`mlp_block`](crate::mlp_block); the layers are gate, up and down.
pub fn mlp_block(
    x: &Tensor,
    norm: &Param,
    norm_epsilon: f64,
    [gate, up, down]: [Layer<'_>; 3],
) -> Result<Tensor> {
    let [gate, up] = linears(&rms_norm(x, norm, norm_epsilon)?, [gate, up])?;
    x + linear(&swiglu(&gate, &up)?, down.0, down.1)?
}
