//! Every option of the program: what all training binaries have, and its components' own.

use align_cli::{CommonOptions, Invocation, OutputOptions};
use align_data::DataOptions;
use align_reward::RewardOptions;
use align_train::TrainOptions;
use serde::Serialize;

/// The command line, flattened from the components.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: CommonOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(flatten, next_help_heading = "Data")]
    pub(crate) data: DataOptions,
    #[command(flatten)]
    pub(crate) reward: RewardOptions,
    #[command(flatten)]
    pub(crate) train: TrainOptions,
}

impl Options {
    /// Refuses what only training the backbone would have an effect on.
    pub(crate) fn refuse_what_a_frozen_backbone_ignores(
        &self,
        invocation: &Invocation,
    ) -> anyhow::Result<()> {
        if !self.reward.freeze_backbone {
            return Ok(());
        }
        let because = "`freeze_backbone` computes the backbone's states once, without a gradient";
        invocation.refuse_given(&["gradient_checkpointing"], because)
    }
}

/// Options that only matter with held-out rows.
pub(crate) const FOR_EVALUATION: &[&str] = &["per_device_eval_batch_size", "source_column"];

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
