//! DPO with a second concern: that the chosen answer's likelihood does not fall, that longer is not better.

use candle_core::{Result, Tensor};

use super::dpo::scaled;
use super::{LogRatios, PairLengths, PairLogProbs, lengths_like};
use crate::checks::{finite, not_negative, positive};
use crate::numerics::{log_sigmoid, relu};

/// DPO-Positive: a penalty where the chosen answer became less likely than under the reference (Pal et al. 2024,
/// Smaug, arXiv:2402.13228, eq. 3).
///
/// ℓ = −log σ(β·(h − λ·max(0, −a)))
///
/// Returns `[pairs]`. The paper's λ is between 5 and 500.
///
/// # Errors
/// If β is not a positive number or λ is negative.
pub fn dpop(ratios: &LogRatios, beta: f64, lambda: f64) -> Result<Tensor> {
    let penalty = (relu(&ratios.chosen.neg()?)? * not_negative("lambda", lambda)?)?;
    let margin = (ratios.difference()? - penalty)?;
    log_sigmoid(&(margin * positive("beta", beta)?)?)?.neg()
}

/// R-DPO: DPO's answer to a reward that charges α for each token (Park et al. 2024, arXiv:2403.19159).
///
/// ℓ = −log σ(β·h + α·(|y_w| − |y_l|))
///
/// The sign follows from what is maximised, E\[r(x, y) − α·|y|\] − β·KL(π ‖ π_ref). Its optimum is
/// π ∝ π_ref·e^((r − α·|y|)/β), so r(x, y) = β·log(π/π_ref) + α·|y| + c(x), and Bradley–Terry on a pair's two rewards
/// leaves β·h + α·(|y_w| − |y_l|): a preference for the longer answer is in part explained by its length and asks for a
/// smaller margin, one for the shorter answer for a larger one. Some later papers print a minus, which is a reward *for*
/// length: with labels that say nothing of length it moves the policy to the longer answers.
///
/// Returns `[pairs]`. α is in units of reward per token; 0 gives [`dpo`](super::dpo).
///
/// # Errors
/// If β is not a positive number, α not finite, or the lengths are not `[pairs]`.
pub fn rdpo(ratios: &LogRatios, lengths: &PairLengths, beta: f64, alpha: f64) -> Result<Tensor> {
    let chosen = lengths_like("chosen lengths", &lengths.chosen, &ratios.chosen)?;
    let rejected = lengths_like("rejected lengths", &lengths.rejected, &ratios.rejected)?;
    let explained = ((chosen - rejected)? * finite("alpha", alpha)?)?;
    log_sigmoid(&(scaled(ratios, beta)? + explained)?)?.neg()
}

/// The chosen answer's negative log-likelihood per token (Pang et al. 2024, Iterative RPO, arXiv:2404.19733, eq.
/// 4), to be added to a preference loss with a weight.
///
/// ℓ = −log π(y_w|x)/|y_w|
///
/// Returns `[pairs]`: each pair counts the same, however long. TRL's `sft` term counts each *token* the same: that
/// is −Σ log π(y_w|x) / Σ |y_w| over the batch, whose reduction is the caller's.
///
/// # Errors
/// As [`LogRatios::reference_free`] and [`LogRatios::per_token`].
pub fn chosen_nll(policy: &PairLogProbs, lengths: &PairLengths) -> Result<Tensor> {
    LogRatios::reference_free(policy)?.per_token(lengths)?.chosen.neg()
}
