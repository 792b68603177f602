//! Root-mean-square layer normalisation (Zhang & Sennrich 2019, arXiv:1910.07467).

pub(crate) mod composed;
mod cpu;

use candle_core::{Result, Tensor, bail};

use crate::Param;
use crate::cpu::is_f32_on_cpu;
pub(crate) use cpu::Backward;

/// `y = w ⊙ x / √(mean(x²) + ε)` over the last dimension: `x` `[rows, hidden]`, `weight` `[hidden]`.
///
/// With `x̂ = x / √(mean(x²) + ε)` and `r` that inverse root, the backward pass is
/// `dx = r (w ⊙ g − x̂ mean(w ⊙ g ⊙ x̂))` and `dw = Σ_rows g ⊙ x̂`.
///
/// # Errors
/// If the shapes do not fit.
pub fn rms_norm(x: &Tensor, weight: &Param, epsilon: f64) -> Result<Tensor> {
    check(x, weight)?;
    if is_f32_on_cpu(&[x, weight.tensor()]) {
        cpu::rms_norm(x, weight, epsilon)
    } else {
        composed::rms_norm(x, weight, epsilon)
    }
}

pub(crate) fn check(x: &Tensor, weight: &Param) -> Result<()> {
    let (_, hidden) = x.dims2()?;
    if weight.tensor().dims() != [hidden] {
        bail!("rms_norm: expected weight [{hidden}], got {:?}", weight.tensor().shape());
    }
    Ok(())
}
