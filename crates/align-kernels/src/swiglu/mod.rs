//! The gate of a Llama feed-forward layer (Shazeer 2020, arXiv:2002.05202).

pub(crate) mod composed;
mod cpu;

use candle_core::{Result, Tensor, bail};

use crate::cpu::is_f32_on_cpu;
pub(crate) use cpu::{gradients, unit};

/// `silu(gate) ⊙ up`, both `[rows, intermediate]`.
///
/// With s = σ(gate), the backward pass is `dgate = g ⊙ up ⊙ s (1 + gate (1 − s))` and
/// `dup = g ⊙ gate ⊙ s`.
///
/// # Errors
/// If the shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.shape() != up.shape() {
        bail!("swiglu: gate {:?} and up {:?} differ in shape", gate.shape(), up.shape());
    }
    if is_f32_on_cpu(&[gate, up]) { cpu::swiglu(gate, up) } else { composed::swiglu(gate, up) }
}
