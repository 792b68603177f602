//! Every option of the program: what all training binaries have, and its components' own.

use align_cli::{CommonOptions, OutputOptions};
use align_data::DataOptions;
use align_dpo::DpoOptions;
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
    pub(crate) dpo: DpoOptions,
    #[command(flatten)]
    pub(crate) train: TrainOptions,
}
