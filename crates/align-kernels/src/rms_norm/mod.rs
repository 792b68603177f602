//! Root-mean-square layer normalisation (Zhang & Sennrich 2019, arXiv:1910.07467).

mod composed;
mod cpu;

use candle_core::{Result, Tensor, bail};

use crate::{Param, Tape, Value, record};

impl Tape {
    /// `y = w ⊙ x / √(mean(x²) + ε)` over the last dimension: `x` `[rows, hidden]`, `weight` `[hidden]`.
    ///
    /// With `x̂ = x / √(mean(x²) + ε)` and `r` that inverse root, the backward pass is
    /// `dx = r (w ⊙ g − x̂ mean(w ⊙ g ⊙ x̂))` and `dw = Σ_rows g ⊙ x̂`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn rms_norm(&mut self, x: &Value, weight: &Param, epsilon: f64) -> Result<Value> {
        let (input, wanted) = (x.keep(), x.is_tracked());
        let (_, hidden) = input.dims2()?;
        if weight.tensor().dims() != [hidden] {
            bail!("rms_norm: expected weight [{hidden}], got {:?}", weight.tensor().shape());
        }
        if Self::on_cpu(&[&input, weight.tensor()]) {
            let (y, back) = cpu::rms_norm(&input, weight, epsilon)?;
            Ok(self.push("rms_norm", [x], [weight], y, move |grad: &Tensor| back.gradients(grad, wanted)))
        } else {
            let (y, back) = composed::rms_norm(&input, weight, epsilon, wanted)?;
            Ok(self.push("rms_norm", [x], [weight], y, back))
        }
    }
}

/// [`Tape::rms_norm`] by itself.
///
/// # Errors
/// If the shapes do not fit.
pub fn rms_norm(x: &Tensor, weight: &Param, epsilon: f64) -> Result<Tensor> {
    record("rms_norm", [x], |tape, [x]| tape.rms_norm(&x, weight, epsilon))
}
