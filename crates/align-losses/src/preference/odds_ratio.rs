//! Odds ratio preference optimization.

use candle_core::{Result, Tensor};

use super::{LogRatios, PairLengths, PairLogProbs};
use crate::numerics::{log_one_minus_exp, log_sigmoid};

/// The log odds ratio and its parts, from [`orpo_odds_ratio`]; both carry the gradient.
#[derive(Debug, Clone)]
pub struct OddsRatio {
    /// log(odds(y_w)/odds(y_l)), `[pairs]`.
    pub log_odds: Tensor,
    /// log σ of it, `[pairs]`.
    pub log_sigmoid: Tensor,
}

/// The log odds ratio: how much better the odds of the chosen answer are, per token (Hong et al. 2024,
/// arXiv:2403.07691, eqs. 4, 7).
///
/// log odds(y) = log p − log(1 − p), with log p = log π(y|x)/|y|; the loss is −β·log σ(log odds(y_w) − log odds(y_l)),
/// `-beta * log_sigmoid` here, beside the likelihood of prompt and chosen answer.
///
/// Exact for p → 1, where 1 − p loses its digits. At log p = 0 the odds are infinite: there 1 − p counts as 10⁻³⁰,
/// without a slope of its own, so that the result stays a number.
///
/// # Errors
/// As [`LogRatios::reference_free`] and [`LogRatios::per_token`].
pub fn orpo_odds_ratio(policy: &PairLogProbs, lengths: &PairLengths) -> Result<OddsRatio> {
    let log_probs = LogRatios::reference_free(policy)?.per_token(lengths)?;
    let complements = (log_one_minus_exp(&log_probs.chosen)? - log_one_minus_exp(&log_probs.rejected)?)?;
    let log_odds = (log_probs.difference()? - complements)?;
    Ok(OddsRatio { log_sigmoid: log_sigmoid(&log_odds)?, log_odds })
}
