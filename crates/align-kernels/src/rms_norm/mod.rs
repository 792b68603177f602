//! Root-mean-square layer normalisation (Zhang & Sennrich 2019, arXiv:1910.07467).

mod composed;
mod cpu;

use candle_core::{Result, Tensor, bail};

use crate::{Param, Tape, Value, record};

/// A norm: `y = w ⊙ x / √(mean(x²) + ε)` over the last dimension.
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Param,
    epsilon: f64,
    /// What is added to the weight: 0, or 1 for weights that are kept around 0, as Gemma's are.
    offset: f64,
}

impl RmsNorm {
    /// `[width]`.
    pub fn weight(&self) -> &Param {
        &self.weight
    }

    /// A norm with a weight `[width]`.
    pub fn new(weight: &Param, epsilon: f64) -> Self {
        Self { weight: weight.clone(), epsilon, offset: 0.0 }
    }

    /// A norm that multiplies with `1 + w`.
    pub fn around_zero(weight: &Param, epsilon: f64) -> Self {
        Self { offset: 1.0, ..Self::new(weight, epsilon) }
    }

    /// The width that is normalised.
    pub fn width(&self) -> usize {
        self.weight.tensor().elem_count()
    }

    /// What rows are multiplied with, contiguous.
    fn factors(&self) -> Result<Tensor> {
        let weight = self.weight.tensor().detach().contiguous()?;
        if self.offset == 0.0 { Ok(weight) } else { weight + self.offset }
    }
}

impl Tape {
    /// The rows of `x` `[rows, width]`, normalised.
    ///
    /// With `x̂ = x / √(mean(x²) + ε)` and `r` that inverse root, the backward pass is
    /// `dx = r (w ⊙ g − x̂ mean(w ⊙ g ⊙ x̂))` and `dw = Σ_rows g ⊙ x̂`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn rms_norm(&mut self, x: &Value, norm: &RmsNorm) -> Result<Value> {
        let (input, weight, wanted) = (x.keep(), &norm.weight, x.is_tracked());
        let (_, width) = input.dims2()?;
        if weight.tensor().dims() != [width] {
            bail!("rms_norm: expected weight [{width}], got {:?}", weight.tensor().shape());
        }
        if Self::on_cpu(&[&input, weight.tensor()]) {
            let (y, back) = cpu::rms_norm(&input, norm)?;
            Ok(self.push("rms_norm", [x], [weight], y, move |grad: &Tensor| back.gradients(grad, wanted)))
        } else {
            let (y, back) = composed::rms_norm(&input, norm, wanted)?;
            Ok(self.push("rms_norm", [x], [weight], y, back))
        }
    }
}

/// [`Tape::rms_norm`] by itself, with a weight `[width]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn rms_norm(x: &Tensor, weight: &Param, epsilon: f64) -> Result<Tensor> {
    let norm = RmsNorm::new(weight, epsilon);
    record("rms_norm", [x], |tape, [x]| tape.rms_norm(&x, &norm))
}
