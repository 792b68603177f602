//! SwiGLU of candle's differentiable operations.

use candle_core::{Result, Tensor};

/// See [`swiglu`](crate::swiglu).
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}
