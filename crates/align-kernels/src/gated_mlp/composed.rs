//! The feed-forward layer of separate ops.

use candle_core::{Result, Tensor};

use super::Layer;
use crate::{linear, linears, swiglu};

/// See [`gated_mlp`](crate::gated_mlp); the layers are gate, up and down.
pub fn gated_mlp(x: &Tensor, [gate, up, down]: [Layer<'_>; 3]) -> Result<Tensor> {
    let [gate, up] = linears(x, [gate, up])?;
    linear(&swiglu(&gate, &up)?, down.0, down.1)
}
