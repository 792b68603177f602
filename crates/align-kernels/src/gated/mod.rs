//! The unit of a gated feed-forward layer (Shazeer 2020, arXiv:2002.05202).

mod composed;
mod cpu;

use candle_core::{Result, Tensor, bail};

use crate::{Tape, Value, record};

/// The activation that a gate goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x σ(x)`.
    Silu,
    /// `x Φ(x)` (Hendrycks & Gimpel 2016, arXiv:1606.08415).
    Gelu,
    /// `x σ(2 √(2/π) (x + 0.044715 x³))`, the approximation of [`Activation::Gelu`] by a tanh.
    GeluTanh,
}

impl Tape {
    /// `activation(gate) ⊙ up`, both `[rows, intermediate]`.
    ///
    /// With `a` the activation, the backward pass is `dgate = g ⊙ up ⊙ a'(gate)` and `dup = g ⊙ a(gate)`.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn gated(&mut self, activation: Activation, gate: &Value, up: &Value) -> Result<Value> {
        let ([gates, ups], wanted) = ([gate.keep(), up.keep()], [gate.is_tracked(), up.is_tracked()]);
        if gates.shape() != ups.shape() {
            bail!("gated: gate {:?} and up {:?} differ in shape", gates.shape(), ups.shape());
        }
        let only_wanted =
            move |[dgate, dup]: [Tensor; 2]| [wanted[0].then_some(dgate), wanted[1].then_some(dup)];
        if Self::on_cpu(&[&gates, &ups]) {
            let (gates, ups) = (gates.contiguous()?, ups.contiguous()?);
            let y = cpu::unit(activation, &gates, &ups)?;
            let back = move |grad: &Tensor| Ok(only_wanted(cpu::gradients(activation, &gates, &ups, grad)?));
            Ok(self.push("gated", [gate, up], [], y, back))
        } else {
            let y = composed::unit(activation, &gates, &ups)?;
            let back =
                move |grad: &Tensor| Ok(only_wanted(composed::gradients(activation, &gates, &ups, grad)?));
            Ok(self.push("gated", [gate, up], [], y, back))
        }
    }
}

/// [`Tape::gated`] by itself.
///
/// # Errors
/// If the shapes differ.
pub fn gated(activation: Activation, gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    record("gated", [gate, up], |tape, [gate, up]| tape.gated(activation, &gate, &up))
}

/// SwiGLU, the gate of Llama: [`gated`] by [`Activation::Silu`].
///
/// # Errors
/// If the shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gated(Activation::Silu, gate, up)
}
