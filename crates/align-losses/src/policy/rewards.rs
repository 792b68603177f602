//! One reward per completion out of several reward functions, and what is done to it before a baseline.
//!
//! A reward that is NaN was not scored: its function did not apply to that completion. It counts nowhere, and a
//! completion that no function scored keeps NaN, so that the baselines of [`advantages`](super::advantages) leave
//! it out; its advantage is 0. Zero would be an opinion.

use candle_core::{Result, bail};

use super::advantages::{finite_or_unscored, groups, normalized_group};
use crate::checks::finite;

/// Σ_f w_f·r_f of each completion over the functions that scored it. `per_function[f]` holds function f's reward
/// of every completion.
///
/// # Errors
/// If there is not one weight per function, the functions did not see equally many completions, or a weight is not
/// finite or a reward infinite.
pub fn weighted_rewards(per_function: &[Vec<f64>], weights: &[f64]) -> Result<Vec<f64>> {
    let completions = per_function.first().map_or(0, Vec::len);
    if per_function.len() != weights.len() {
        bail!("expected one weight per reward function ({}), got {}", per_function.len(), weights.len());
    }
    if let Some(other) = per_function.iter().find(|rewards| rewards.len() != completions) {
        bail!("expected {completions} rewards of each function, got {}", other.len());
    }
    for (rewards, &weight) in per_function.iter().zip(weights) {
        finite("a weight", weight)?;
        finite_or_unscored(rewards)?;
    }
    Ok((0..completions)
        .map(|completion| {
            let scored =
                per_function.iter().zip(weights).filter(|(rewards, _)| !rewards[completion].is_nan());
            // From NaN only if no function scored.
            scored.fold(f64::NAN, |sum, (rewards, weight)| {
                let term = rewards[completion] * weight;
                if sum.is_nan() { term } else { sum + term }
            })
        })
        .collect())
}

/// Weighted rewards as [`weighted_rewards`], of each function's rewards normalised within their group first: (r −
/// mean)/(std + 10⁻⁴). So a function with a wide scale does not drown the others (GDPO, arXiv:2601.05242; TRL's
/// `multi_objective_aggregation = "normalize_then_sum"`). GDPO's advantage is
/// [`normalized_advantages`](super::normalized_advantages) of these.
///
/// # Errors
/// As [`weighted_rewards`], and if the completions are not whole groups.
pub fn group_normalized_rewards(
    per_function: &[Vec<f64>],
    weights: &[f64],
    num_generations: usize,
) -> Result<Vec<f64>> {
    let normalized = per_function
        .iter()
        .map(|rewards| Ok(groups(rewards, num_generations)?.flat_map(normalized_group).collect()));
    weighted_rewards(&normalized.collect::<Result<Vec<Vec<f64>>>>()?, weights)
}

/// Each reward moved into [`lowest`, `highest`] (TRL's `reward_clip_range`).
///
/// # Errors
/// If the range is empty or not of numbers.
pub fn clipped_rewards(rewards: &[f64], lowest: f64, highest: f64) -> Result<Vec<f64>> {
    if lowest.is_nan() || highest.is_nan() || lowest > highest {
        bail!("expected a range of rewards from low to high, got [{lowest}, {highest}]");
    }
    Ok(rewards.iter().map(|reward| reward.clamp(lowest, highest)).collect())
}

/// r_i − β·kl_i: the divergence from the reference as part of the reward, where it needs no gradient (RLOO: kl is
/// the sum of [`k1`](crate::kl::k1) over the completion's tokens).
///
/// # Errors
/// If there is not one divergence per reward.
pub fn kl_penalized_rewards(rewards: &[f64], kl: &[f64], beta: f64) -> Result<Vec<f64>> {
    if rewards.len() != kl.len() {
        bail!("expected one divergence per reward ({}), got {}", rewards.len(), kl.len());
    }
    Ok(rewards.iter().zip(kl).map(|(reward, kl)| reward - beta * kl).collect())
}
