//! Every option of the program: what all training binaries have, and its components' own.

use align_cli::{CommonOptions, OutputOptions};
use align_data::{DataOptions, DemonstrationOptions};
use align_sft::SftOptions;
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
    #[command(flatten, next_help_heading = "Data")]
    pub(crate) demonstrations: DemonstrationOptions,
    #[command(flatten)]
    pub(crate) sft: SftOptions,
    #[command(flatten)]
    pub(crate) start: StartOptions,
    #[command(flatten)]
    pub(crate) train: TrainOptions,
}

/// Where the weights come from.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Model and device")]
pub(crate) struct StartOptions {
    /// Start from random weights of the model's config.json instead of its weights
    #[arg(long)]
    pub(crate) from_scratch: bool,
}

/// Options that only matter with held-out rows.
pub(crate) const FOR_EVALUATION: &[&str] = &["per_device_eval_batch_size"];

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
