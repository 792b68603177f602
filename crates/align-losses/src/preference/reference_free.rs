//! Losses on the policy alone: what others take of log-ratios, these take of log-probs.
//!
//! TPO (Saeidi et al. 2024, arXiv:2405.16681) adds a likelihood term on a third, gold answer to one of these:
//! [`cpo`], [`cpo_hinge`], [`cpo_ipo`] or [`tpo_l`].

use candle_core::{Result, Tensor};

use super::dpo::{cdpo, cdpo_with_margin, hinge};
use super::regression::ipo;
use super::{LogRatios, PairLengths, PairLogProbs};
use crate::checks::{finite, not_negative};
use crate::numerics::{exp_minus_one, relu};

/// Contrastive preference optimization (Xu et al. 2024, arXiv:2401.08417, eq. 3), with label smoothing: [`cdpo`]
/// without a reference.
///
/// ℓ = −(1 − ε)·log σ(β·(log π(y_w) − log π(y_l))) − ε·log σ(−β·(…))
///
/// Returns `[pairs]`. The paper adds a likelihood term on the chosen answer.
///
/// # Errors
/// As [`LogRatios::reference_free`] and [`cdpo`].
pub fn cpo(policy: &PairLogProbs, beta: f64, label_smoothing: f64) -> Result<Tensor> {
    cdpo(&LogRatios::reference_free(policy)?, beta, label_smoothing)
}

/// [`hinge`] without a reference (TRL's CPO `hinge`): max(0, 1 − β·(log π(y_w) − log π(y_l))), `[pairs]`.
///
/// # Errors
/// As [`LogRatios::reference_free`] and [`hinge`].
pub fn cpo_hinge(policy: &PairLogProbs, beta: f64) -> Result<Tensor> {
    hinge(&LogRatios::reference_free(policy)?, beta)
}

/// [`ipo`] without a reference on means per token (TRL's CPO `ipo`):
/// (log π(y_w)/|y_w| − log π(y_l)/|y_l| − 1/(2β))², `[pairs]`.
///
/// # Errors
/// As [`LogRatios::reference_free`], [`LogRatios::per_token`] and [`ipo`].
pub fn cpo_ipo(policy: &PairLogProbs, lengths: &PairLengths, beta: f64) -> Result<Tensor> {
    ipo(&LogRatios::reference_free(policy)?.per_token(lengths)?, beta)
}

/// Simple preference optimization (Meng et al. 2024, arXiv:2405.14734, eq. 6), with label smoothing as in
/// [`cdpo`].
///
/// z = β·(log π(y_w)/|y_w| − log π(y_l)/|y_l|) − γ, ℓ = −(1 − ε)·log σ(z) − ε·log σ(−z)
///
/// Returns `[pairs]`. γ is the target margin itself, as TRL's `simpo_gamma`; papers often quote γ/β.
///
/// # Errors
/// As [`LogRatios::per_token`] and [`cdpo`], and if γ is negative.
pub fn simpo(
    policy: &PairLogProbs,
    lengths: &PairLengths,
    beta: f64,
    gamma: f64,
    label_smoothing: f64,
) -> Result<Tensor> {
    let per_token = LogRatios::reference_free(policy)?.per_token(lengths)?;
    cdpo_with_margin(&per_token, beta, not_negative("gamma", gamma)?, label_smoothing)
}

/// TPO-L's contrastive term (Saeidi et al. 2024, arXiv:2405.16681): the same as [`simpo`], with γ TRL's
/// `tpo_l_gamma`. `[pairs]`.
///
/// # Errors
/// As [`simpo`].
pub fn tpo_l(
    policy: &PairLogProbs,
    lengths: &PairLengths,
    beta: f64,
    gamma: f64,
    label_smoothing: f64,
) -> Result<Tensor> {
    simpo(policy, lengths, beta, gamma, label_smoothing)
}

/// Sequence likelihood calibration from human feedback (Zhao et al. 2023, arXiv:2305.10425, section 2).
///
/// ℓ = max(0, δ − log π(y_w) + log π(y_l)) − `reg`·log π(y_w)
///
/// Returns `[pairs]`. The paper regularises towards a target answer; here, as usual, that is the chosen one.
///
/// # Errors
/// As [`LogRatios::reference_free`], and if δ or `reg` is negative.
pub fn slic(policy: &PairLogProbs, delta: f64, reg: f64) -> Result<Tensor> {
    let policy = LogRatios::reference_free(policy)?;
    let calibration = relu(&policy.difference()?.affine(-1.0, not_negative("delta", delta)?)?)?;
    calibration - (policy.chosen * not_negative("reg", reg)?)?
}

impl LogRatios {
    /// AlphaPO's rewards in place of log-probs (Gupta et al. 2025, arXiv:2501.03884): r = (1 − p^−α)/α, with
    /// log p what these hold; α = 0 is log p itself.
    ///
    /// Of [`Self::reference_free`] it makes TRL's CPO `sigmoid` with `alpha` (through [`cdpo`]), of that
    /// [`Self::per_token`] AlphaPO (through [`cdpo_with_margin`]). Where p^−α would overflow it goes on as the tangent
    /// of its exponential.
    ///
    /// # Errors
    /// If α is not finite.
    pub fn alphapo(&self, alpha: f64) -> Result<Self> {
        let alpha = finite("alpha", alpha)?;
        if alpha == 0.0 {
            return Ok(self.clone());
        }
        let reward = |log_prob: &Tensor| exp_minus_one(&(log_prob * -alpha)?)? / -alpha;
        Ok(Self { chosen: reward(&self.chosen)?, rejected: reward(&self.rejected)? })
    }
}
