//! The gradients of SwiGLU by tensor operations.

use candle_core::{Result, Tensor};

/// The gradients of gate and up, from that of the unit.
pub(super) fn gradients(gate: &Tensor, up: &Tensor, grad: &Tensor) -> Result<[Tensor; 2]> {
    let s = (gate.neg()?.exp()? + 1.0)?.recip()?;
    let slope = (&s * ((gate * (1.0 - &s)?)? + 1.0)?)?;
    Ok([((grad * up)? * slope)?, (grad * (gate * s)?)?])
}
