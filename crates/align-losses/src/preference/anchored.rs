//! Losses that judge each answer's implicit reward against an anchor, not only against the other answer's.

use candle_core::{Result, Tensor};

use super::LogRatios;
use crate::checks::{finite, positive};
use crate::numerics::{log_sigmoid, sigmoid};

/// Binary classifier optimization on pairs (Jung et al. 2024, arXiv:2404.04656, section 4): chosen answers above δ,
/// rejected ones below.
///
/// ℓ = −log σ(β·a − δ) − log σ(−(β·b − δ))
///
/// Returns `[pairs]`. δ is 0 in TRL 1.x; in the paper and in TRL before it is the running mean of all rewards
/// ([`RunningMoments`](crate::RunningMoments)).
///
/// # Errors
/// If β is not a positive number or δ not finite.
pub fn bco_pair(ratios: &LogRatios, beta: f64, delta: f64) -> Result<Tensor> {
    let (beta, delta) = (positive("beta", beta)?, finite("delta", delta)?);
    let chosen = log_sigmoid(&ratios.chosen.affine(beta, -delta)?)?;
    (chosen + log_sigmoid(&ratios.rejected.affine(-beta, delta)?)?)?.neg()
}

/// APO-zero: chosen answers up, rejected ones down; for chosen answers better than what the model writes
/// (D'Oosterlinck et al. 2024, arXiv:2408.06266, eq. 7).
///
/// ℓ = (1 − σ(β·a)) + σ(β·b)
///
/// Returns `[pairs]`.
///
/// # Errors
/// If β is not a positive number.
pub fn apo_zero(ratios: &LogRatios, beta: f64) -> Result<Tensor> {
    let beta = positive("beta", beta)?;
    sigmoid(&(&ratios.chosen * -beta)?)? + sigmoid(&(&ratios.rejected * beta)?)?
}

/// APO-down: both answers down, rejected ones further; for chosen answers worse than what the model writes
/// (D'Oosterlinck et al. 2024, arXiv:2408.06266, eq. 8).
///
/// ℓ = σ(β·a) + (1 − σ(β·h))
///
/// Returns `[pairs]`.
///
/// # Errors
/// If β is not a positive number.
pub fn apo_down(ratios: &LogRatios, beta: f64) -> Result<Tensor> {
    let beta = positive("beta", beta)?;
    sigmoid(&(&ratios.chosen * beta)?)? + sigmoid(&(ratios.difference()? * -beta)?)?
}
