//! From rewards to advantages: which baseline, and which scale.

use align_losses::{
    batch_scaled_advantages, dr_grpo_advantages, group_centered, grpo_advantages, leave_one_out,
    normalized_advantages, reinforce_pp_advantages, rloo_advantages,
};
use candle_core::Result;

/// The baseline that a completion's reward is compared with, and the scale of the advantage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// The group's mean, in units of the group's deviation (GRPO).
    GroupScaled,
    /// The group's mean, in units of the phase's deviation.
    BatchScaled,
    /// The group's mean (Dr. GRPO).
    Group,
    /// The mean of the group's other completions (RLOO).
    LeaveOneOut,
    /// [`Baseline::LeaveOneOut`], then whitened over the phase (TRL's `normalize_advantages`).
    LeaveOneOutWhitened,
    /// The phase's mean, in units of its deviation (REINFORCE++): no groups are needed.
    Batch,
    /// The group's mean, then whitened over the phase (REINFORCE++-baseline).
    GroupWhitened,
}

impl Baseline {
    /// Advantages of completions that come in groups of `num_generations`. A reward that is NaN was not given: its
    /// completion has advantage 0 and no part in a baseline. Equal rewards have advantage 0.
    ///
    /// # Errors
    /// If the rewards are not whole groups, or one is infinite.
    pub fn advantages(self, rewards: &[f64], num_generations: usize) -> Result<Vec<f64>> {
        match self {
            Self::GroupScaled => grpo_advantages(rewards, num_generations),
            Self::BatchScaled => batch_scaled_advantages(rewards, num_generations),
            Self::Group => dr_grpo_advantages(rewards, num_generations),
            Self::LeaveOneOut => rloo_advantages(rewards, num_generations),
            Self::LeaveOneOutWhitened => normalized_advantages(&leave_one_out(rewards, num_generations)?),
            Self::Batch => reinforce_pp_advantages(rewards),
            Self::GroupWhitened => reinforce_pp_advantages(&group_centered(rewards, num_generations)?),
        }
    }

    /// Whether a completion alone in its group has no advantage.
    pub(super) fn needs_group(self) -> bool {
        self != Self::Batch
    }
}

/// The penalty of a long completion (DAPO, arXiv:2503.14476, eq. 13; TRL's `get_soft_overlong_punishment`): 0 up to
/// `max − cache` tokens, then falling to −1 at `max`.
pub fn soft_overlong_punishment(length: usize, max: usize, cache: usize) -> f64 {
    let free = max.saturating_sub(cache);
    if length <= free {
        0.0
    } else if length <= max {
        (free as f64 - length as f64) / cache as f64
    } else {
        -1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Baseline; 7] = [
        Baseline::GroupScaled,
        Baseline::BatchScaled,
        Baseline::Group,
        Baseline::LeaveOneOut,
        Baseline::LeaveOneOutWhitened,
        Baseline::Batch,
        Baseline::GroupWhitened,
    ];

    #[test]
    fn a_group_whose_rewards_are_equal_has_no_advantage_and_no_nan() {
        for baseline in ALL {
            let advantages = baseline.advantages(&[1.0; 8], 4).unwrap();
            assert_eq!(advantages, [0.0; 8], "{baseline:?}");
            let unscored = baseline.advantages(&[f64::NAN; 4], 4).unwrap();
            assert_eq!(unscored, [0.0; 4], "{baseline:?}");
        }
    }

    #[test]
    fn the_better_completion_has_the_higher_advantage_whatever_the_baseline() {
        for baseline in ALL {
            let advantages = baseline.advantages(&[0.0, 1.0, 0.0, 0.0], 4).unwrap();
            assert!(advantages[1] > 0.0 && advantages[0] < 0.0, "{baseline:?}: {advantages:?}");
            assert!(advantages.iter().sum::<f64>().abs() < 1e-9, "{baseline:?}: {advantages:?}");
        }
    }

    #[test]
    fn long_completions_are_punished_softly() {
        // TRL's own example, and its ends.
        assert_eq!(soft_overlong_punishment(90, 100, 20), -0.5);
        assert_eq!(soft_overlong_punishment(80, 100, 20), 0.0);
        assert_eq!(soft_overlong_punishment(100, 100, 20), -1.0);
        assert_eq!(soft_overlong_punishment(101, 100, 0), -1.0);
        assert_eq!(soft_overlong_punishment(100, 100, 0), 0.0);
    }
}
