//! Rotary embedding of tensor operations.

use candle_core::{D, Result, Tensor};

use super::Rope;
use crate::accumulate::Recorded;

/// See [`rope`](crate::rope).
pub fn rope(x: &Tensor, rotation: &Rope) -> Result<Tensor> {
    let value = rotate(&x.detach(), rotation)?;
    if !x.track_op() {
        return Ok(value);
    }
    let inverse = Rope { cos: rotation.cos.clone(), sin: rotation.sin.neg()? };
    let backward = move |grad: &Tensor| Ok([Some(rotate(grad, &inverse)?)]);
    x.apply_op1(Recorded { name: "rope", value, backward })
}

fn rotate(x: &Tensor, Rope { cos, sin }: &Rope) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let (x1, x2) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let y1 = (x1.broadcast_mul(cos)? - x2.broadcast_mul(sin)?)?;
    let y2 = (x2.broadcast_mul(cos)? + x1.broadcast_mul(sin)?)?;
    Tensor::cat(&[y1, y2], D::Minus1)
}
