//! Advantages from rewards alone: how much better a completion is than the others of its prompt, or of its batch.
//!
//! Completions come in groups: `num_generations` of the first prompt, then of the second. A reward that is NaN
//! was not scored: it is left out of every mean and deviation, and its advantage is 0. So is that of a completion
//! without a scored sibling. An infinite reward is refused: it would leave no advantage of its group a number.
//! Deviations are unbiased (n − 1), 0 of fewer than two.
//!
//! The baselines [`group_centered`] and [`leave_one_out`] keep the NaN, so that another step can follow:
//! REINFORCE++-baseline is [`reinforce_pp_advantages`] of the former, RLOO with TRL's `normalize_advantages`
//! [`normalized_advantages`] of the latter.

use candle_core::{Result, bail};

/// Keeps a group whose completions earned the same from being divided by zero (TRL's constant).
const EPSILON: f64 = 1e-4;

/// (r_i − mean)/(std + 10⁻⁴) within the group (GRPO, arXiv:2402.03300, section 4.1.2).
///
/// # Errors
/// If the rewards are not whole groups, or one is infinite.
pub fn grpo_advantages(rewards: &[f64], num_generations: usize) -> Result<Vec<f64>> {
    let groups = groups(rewards, num_generations)?;
    Ok(unscored_to_zero(groups.flat_map(normalized_group)))
}

/// (r_i − mean of the group)/(std of the batch + 10⁻⁴) (TRL's `scale_rewards = "batch"`, arXiv:2508.08221): an
/// easy prompt's small differences are not blown up.
///
/// # Errors
/// As [`grpo_advantages`].
pub fn batch_scaled_advantages(rewards: &[f64], num_generations: usize) -> Result<Vec<f64>> {
    let scale = deviation(rewards) + EPSILON;
    let groups = groups(rewards, num_generations)?;
    Ok(unscored_to_zero(groups.flat_map(|group| standardized(group, scale))))
}

/// [`group_centered`] rewards, without a scale (Dr. GRPO, arXiv:2503.20783, section 3.2): dividing by the
/// deviation prefers prompts that are almost always or almost never solved.
///
/// # Errors
/// As [`grpo_advantages`].
pub fn dr_grpo_advantages(rewards: &[f64], num_generations: usize) -> Result<Vec<f64>> {
    Ok(unscored_to_zero(group_centered(rewards, num_generations)?.into_iter()))
}

/// Rewards less the [`leave_one_out`] baseline (RLOO).
///
/// # Errors
/// As [`grpo_advantages`].
pub fn rloo_advantages(rewards: &[f64], num_generations: usize) -> Result<Vec<f64>> {
    Ok(unscored_to_zero(leave_one_out(rewards, num_generations)?.into_iter()))
}

/// (x_i − mean)/(std + 10⁻⁴) over the batch: the last step of GDPO (on
/// [`group_normalized_rewards`](super::group_normalized_rewards)) and of RLOO with TRL's `normalize_advantages`.
///
/// # Errors
/// If a reward is infinite.
pub fn normalized_advantages(rewards: &[f64]) -> Result<Vec<f64>> {
    finite_or_unscored(rewards)?;
    Ok(unscored_to_zero(standardized(rewards, deviation(rewards) + EPSILON)))
}

/// (x_i − mean)/√(variance + 10⁻⁸) over the batch (REINFORCE++, arXiv:2501.03262, eq. 9): no groups are needed.
///
/// # Errors
/// If a reward is infinite.
pub fn reinforce_pp_advantages(rewards: &[f64]) -> Result<Vec<f64>> {
    finite_or_unscored(rewards)?;
    Ok(unscored_to_zero(standardized(rewards, (deviation(rewards).powi(2) + 1e-8).sqrt())))
}

/// r_i − mean of the group. NaN stays.
///
/// # Errors
/// As [`grpo_advantages`].
pub fn group_centered(rewards: &[f64], num_generations: usize) -> Result<Vec<f64>> {
    Ok(groups(rewards, num_generations)?.flat_map(|group| standardized(group, 1.0)).collect())
}

/// r_i − the mean of the group's *other* rewards (Ahmadian et al. 2024, arXiv:2402.14740, eq. 8): a baseline that
/// does not depend on the completion itself, so the gradient stays unbiased. NaN stays, and is what a completion
/// without a scored sibling has.
///
/// # Errors
/// As [`grpo_advantages`].
pub fn leave_one_out(rewards: &[f64], num_generations: usize) -> Result<Vec<f64>> {
    let of_group = |group: &[f64]| -> Vec<f64> {
        let (count, sum) = (scored(group).count() as f64, scored(group).sum::<f64>());
        // One scored completion alone: 0/0.
        group.iter().map(|reward| reward - (sum - reward) / (count - 1.0)).collect()
    };
    Ok(groups(rewards, num_generations)?.flat_map(of_group).collect())
}

/// The rewards of each prompt.
pub(super) fn groups(rewards: &[f64], num_generations: usize) -> Result<std::slice::ChunksExact<'_, f64>> {
    if num_generations == 0 || !rewards.len().is_multiple_of(num_generations) {
        bail!(
            "expected rewards in whole groups of num_generations ({num_generations}), got {}",
            rewards.len()
        );
    }
    finite_or_unscored(rewards)?;
    Ok(rewards.chunks_exact(num_generations))
}

pub(super) fn finite_or_unscored(rewards: &[f64]) -> Result<()> {
    match rewards.iter().find(|reward| reward.is_infinite()) {
        Some(reward) => bail!("expected rewards that are finite, or NaN where there is none, got {reward}"),
        None => Ok(()),
    }
}

/// (x − mean)/(std + 10⁻⁴) within a group; NaN stays.
pub(super) fn normalized_group(group: &[f64]) -> impl Iterator<Item = f64> {
    standardized(group, deviation(group) + EPSILON)
}

/// (x − mean)/scale; NaN stays.
fn standardized(values: &[f64], scale: f64) -> impl Iterator<Item = f64> {
    let mean = mean(values);
    values.iter().map(move |value| (value - mean) / scale)
}

/// "Not scored" as the advantage that moves nothing.
fn unscored_to_zero(advantages: impl Iterator<Item = f64>) -> Vec<f64> {
    advantages.map(|advantage| if advantage.is_nan() { 0.0 } else { advantage }).collect()
}

fn scored(values: &[f64]) -> impl Iterator<Item = f64> {
    values.iter().copied().filter(|value| !value.is_nan())
}

fn mean(values: &[f64]) -> f64 {
    scored(values).sum::<f64>() / scored(values).count() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = scored(values).map(|value| (value - mean).powi(2)).sum();
    (squares / scored(values).count().saturating_sub(1).max(1) as f64).sqrt()
}
