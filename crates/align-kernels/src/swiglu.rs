//! The gate of a Llama feed-forward layer (Shazeer 2020, arXiv:2002.05202).

use candle_core::{Result, Tensor};

/// `silu(gate) ⊙ up`, both `[rows, intermediate]`. Plain differentiable candle ops.
///
/// # Errors
/// If the shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}
