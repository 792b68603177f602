//! Every option of the program: what all training binaries have, and its components' own.

use align_cli::{CommonOptions, Invocation, OutputOptions};
use align_data::DataOptions;
use align_dpo::DpoOptions;
use align_train::{TrainConfig, TrainOptions};
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
    pub(crate) dpo: DpoOptions,
    #[command(flatten)]
    pub(crate) train: TrainOptions,
}

impl Options {
    /// Refuses evaluation without held-out rows, and options that would only matter with them.
    pub(crate) fn check_evaluation(
        config: &TrainConfig,
        invocation: &Invocation,
        held_out: bool,
    ) -> anyhow::Result<()> {
        config.check_evaluation(held_out)?;
        if held_out {
            return Ok(());
        }
        let names = ["num_kl_prompts", "max_new_tokens", "per_device_eval_batch_size"];
        invocation.refuse_given(&names, "there are no held-out rows (give `--eval-dataset`)")
    }
}
