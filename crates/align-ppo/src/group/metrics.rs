//! What a phase's rewards look like, under TRL's names.

use align_train::Metrics;

/// A deviation below which a group's rewards are all the same (torch's `isclose` to zero).
const NO_DEVIATION: f64 = 1e-8;

/// `reward`, `reward_std` and `frac_reward_zero_std` of rewards in groups of `num_generations`. One that is NaN was not
/// given and is left out; the deviations are unbiased.
pub(super) fn reward_metrics(rewards: &[f64], num_generations: usize) -> Metrics {
    let mut metrics = Metrics::default();
    let given = rewards.iter().filter(|reward| !reward.is_nan()).count() as f64;
    metrics.mean("reward", rewards.iter().filter(|reward| !reward.is_nan()).sum(), given);
    metrics.mean("reward_std", deviation(rewards), 1.0);
    if num_generations > 1 {
        let groups = rewards.chunks(num_generations);
        let flat = groups.clone().filter(|group| deviation(group) <= NO_DEVIATION).count();
        metrics.mean("frac_reward_zero_std", flat as f64, groups.len() as f64);
    }
    metrics
}

fn deviation(rewards: &[f64]) -> f64 {
    let given: Vec<f64> = rewards.iter().copied().filter(|reward| !reward.is_nan()).collect();
    let mean = given.iter().sum::<f64>() / given.len().max(1) as f64;
    let squares: f64 = given.iter().map(|reward| (reward - mean).powi(2)).sum();
    (squares / given.len().saturating_sub(1).max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_without_a_difference_are_counted() {
        let metrics = reward_metrics(&[1.0, 1.0, 0.0, 1.0, 0.0, f64::NAN], 2);
        assert_eq!(metrics.get("reward"), Some(0.6));
        assert!((metrics.get("reward_std").unwrap() - 0.3f64.sqrt()).abs() < 1e-12);
        assert_eq!(metrics.get("frac_reward_zero_std"), Some(2.0 / 3.0));
    }
}
