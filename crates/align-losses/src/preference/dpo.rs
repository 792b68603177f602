//! Direct preference optimization and its nearest relatives: a classifier on β·h.

use candle_core::{Result, Tensor, bail};

use super::{LogRatios, positive};
use crate::numerics::log_sigmoid;

/// Direct preference optimization (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).
///
/// ℓ = −log σ(β·h)
///
/// Returns `[pairs]`. A larger β keeps the policy closer to the reference.
///
/// # Errors
/// If β is not a positive number.
pub fn dpo(ratios: &LogRatios, beta: f64) -> Result<Tensor> {
    log_sigmoid(&(ratios.difference()? * positive("beta", beta)?)?)?.neg()
}

/// Conservative DPO: each label is believed wrong with probability ε (Mitchell 2023, "A note on DPO with
/// noisy preferences & relationship to IPO", eq. 3; TRL's `sigmoid` with `label_smoothing`).
///
/// ℓ = −(1 − ε)·log σ(β·h) − ε·log σ(−β·h)
///
/// Returns `[pairs]`. Minimal at σ(β·h) = 1 − ε, so the margin is not driven to infinity.
///
/// # Errors
/// As [`dpo`], and if `label_smoothing` (ε) is outside [0, 0.5): from one half on the labels say nothing,
/// or the opposite.
pub fn cdpo(ratios: &LogRatios, beta: f64, label_smoothing: f64) -> Result<Tensor> {
    smoothed(&(ratios.difference()? * positive("beta", beta)?)?, label_smoothing)
}

/// −(1 − ε)·log σ(z) − ε·log σ(−z).
pub(super) fn smoothed(logits: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    let epsilon = below_half(label_smoothing)?;
    let as_labelled = (log_sigmoid(logits)? * (epsilon - 1.0))?;
    if epsilon == 0.0 {
        return Ok(as_labelled);
    }
    as_labelled - (log_sigmoid(&logits.neg()?)? * epsilon)?
}

pub(super) fn below_half(label_smoothing: f64) -> Result<f64> {
    if !(0.0..0.5).contains(&label_smoothing) {
        bail!("expected label_smoothing in [0, 0.5), got {label_smoothing}");
    }
    Ok(label_smoothing)
}
