//! Losses on a sequence's whole log-prob: REINFORCE, RLOO's clipped form, A*PO's regression. Each `[sequences]`;
//! the batch's loss is their mean.

use candle_core::{Result, Tensor, bail};

use super::advantages::finite_or_unscored;
use super::ratio::log_ratios;
use super::surrogate::{Clip, Surrogate, clipped_surrogate};
use crate::checks::positive;
use crate::checks::{constant_like, same_shape};
use crate::sequence::Sequences;

/// −A_i·Σ_t log π(y_it|·) per sequence (Williams 1992; Ahmadian et al. 2024, arXiv:2402.14740, eq. 6).
///
/// Its gradient is the policy gradient on samples of the policy itself; on others it is not. Log-probs are of
/// [`Sequences::dims`], advantages `[sequences]` and held constant.
///
/// # Errors
/// If the shapes do not fit the sequences or a tensor is not of a floating type.
pub fn reinforce(log_probs: &Tensor, advantages: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    let log_probs = sequences.sums(log_probs)?;
    (constant_of_sequences(advantages, &log_probs)? * log_probs)?.neg()
}

/// −min(ρ_i·A_i, clip(ρ_i)·A_i) with the ratio of the whole sequence, log ρ_i = Σ_t ℓ_it: the loss of TRL's
/// `RLOOTrainer`. On samples of the policy itself its gradient is [`reinforce`]'s.
///
/// Log-probs and the sampling policy's are of [`Sequences::dims`], advantages `[sequences]`
/// ([`rloo_advantages`](super::rloo_advantages)). The ratio is not normalised by the length:
/// long sequences leave the range after few updates.
///
/// # Errors
/// If the shapes do not fit the sequences, a tensor is not of a floating type, or the range is negative.
pub fn rloo(
    log_probs: &Tensor,
    old_log_probs: &Tensor,
    advantages: &Tensor,
    sequences: &Sequences,
    clip: Clip,
) -> Result<Surrogate> {
    let log_ratios = sequences.sums(&log_ratios(log_probs, old_log_probs, sequences)?)?;
    clipped_surrogate(&log_ratios, advantages, clip)
}

/// (β₂·Σ_t(log π(y_it|·) − log π_ref(y_it|·)) − A_i)² per sequence: the optimal policy's log-ratio is its
/// advantage over β₂, regressed (A*PO, arXiv:2505.20686, eq. 5). A_i = r_i − V*(x), see [`optimal_value`].
///
/// Log-probs and the reference's are of [`Sequences::dims`]; reference and advantages are held constant.
///
/// # Errors
/// If the shapes do not fit the sequences, a tensor is not of a floating type, or β₂ is not positive.
pub fn a2po(
    log_probs: &Tensor,
    ref_log_probs: &Tensor,
    advantages: &Tensor,
    sequences: &Sequences,
    beta2: f64,
) -> Result<Tensor> {
    let beta2 = positive("beta2", beta2)?;
    let log_ratios = sequences.sums(&log_ratios(log_probs, ref_log_probs, sequences)?)?;
    let advantages = constant_of_sequences(advantages, &log_ratios)?;
    ((log_ratios * beta2)? - advantages)?.sqr()
}

/// V*(x) = β₁·log((1/n)·Σ_i e^(r_i/β₁)), the value of a prompt under the optimal policy from the rewards of n
/// completions of the reference (A*PO, arXiv:2505.20686, eq. 4). Between their mean (β₁ → ∞) and their maximum
/// (β₁ → 0). A reward that is NaN was not scored and is left out.
///
/// # Errors
/// If β₁ is not positive, no completion is scored, or a reward is infinite.
pub fn optimal_value(rewards: &[f64], beta1: f64) -> Result<f64> {
    let beta1 = positive("beta1", beta1)?;
    finite_or_unscored(rewards)?;
    let scored: Vec<f64> = rewards.iter().copied().filter(|reward| !reward.is_nan()).collect();
    let Some(largest) = scored.iter().copied().reduce(f64::max) else {
        bail!("expected at least one scored completion of the prompt, got none of {}", rewards.len());
    };
    let mean =
        scored.iter().map(|reward| ((reward - largest) / beta1).exp()).sum::<f64>() / scored.len() as f64;
    Ok(largest + beta1 * mean.ln())
}

fn constant_of_sequences(advantages: &Tensor, of_sequences: &Tensor) -> Result<Tensor> {
    same_shape("advantages", advantages, "the sequences", of_sequences)?;
    constant_like("advantages", advantages, of_sequences)
}
