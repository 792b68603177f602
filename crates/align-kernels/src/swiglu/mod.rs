//! The gate of a Llama feed-forward layer (Shazeer 2020, arXiv:2002.05202).

mod composed;
mod cpu;

use candle_core::{Result, Tensor, bail};

use crate::{Tape, Value, record};

impl Tape {
    /// `silu(gate) ⊙ up`, both `[rows, intermediate]`.
    ///
    /// With s = σ(gate), the backward pass is `dgate = g ⊙ up ⊙ s (1 + gate (1 − s))` and
    /// `dup = g ⊙ gate ⊙ s`.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn swiglu(&mut self, gate: &Value, up: &Value) -> Result<Value> {
        let ([gates, ups], wanted) = ([gate.keep(), up.keep()], [gate.is_tracked(), up.is_tracked()]);
        if gates.shape() != ups.shape() {
            bail!("swiglu: gate {:?} and up {:?} differ in shape", gates.shape(), ups.shape());
        }
        let only_wanted =
            move |[dgate, dup]: [Tensor; 2]| [wanted[0].then_some(dgate), wanted[1].then_some(dup)];
        if Self::on_cpu(&[&gates, &ups]) {
            let (gates, ups) = (gates.contiguous()?, ups.contiguous()?);
            let y = cpu::unit(&gates, &ups)?;
            let back = move |grad: &Tensor| Ok(only_wanted(cpu::gradients(&gates, &ups, grad)?));
            Ok(self.push("swiglu", [gate, up], [], y, back))
        } else {
            let y = (gates.silu()? * &ups)?;
            let back = move |grad: &Tensor| Ok(only_wanted(composed::gradients(&gates, &ups, grad)?));
            Ok(self.push("swiglu", [gate, up], [], y, back))
        }
    }
}

/// [`Tape::swiglu`] by itself.
///
/// # Errors
/// If the shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    record("swiglu", [gate, up], |tape, [gate, up]| tape.swiglu(&gate, &up))
}
