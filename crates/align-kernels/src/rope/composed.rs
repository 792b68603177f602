//! Rotary embedding of tensor operations.

use candle_core::{D, Result, Tensor};

use super::Rope;

/// `x` `[tokens, heads, head_dim]` rotated.
pub(super) fn rotate(x: &Tensor, Rope { cos, sin }: &Rope) -> Result<Tensor> {
    let (half, head_dim) = (cos.dim(D::Minus1)?, x.dim(D::Minus1)?);
    let (x1, x2) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let y1 = (x1.broadcast_mul(cos)? - x2.broadcast_mul(sin)?)?;
    let y2 = (x2.broadcast_mul(cos)? + x1.broadcast_mul(sin)?)?;
    if head_dim == 2 * half {
        return Tensor::cat(&[y1, y2], D::Minus1);
    }
    Tensor::cat(&[y1, y2, x.narrow(D::Minus1, 2 * half, head_dim - 2 * half)?], D::Minus1)
}
