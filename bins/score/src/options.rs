//! Every option of the program.

use std::path::PathBuf;

use align_cli::CommonOptions;
use serde::Serialize;

/// The command line, flattened from its parts.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: CommonOptions,

    /// Answers: `prompt` with `completion`, with a list `completions`, or with `chosen` and `rejected`; a .jsonl or
    /// .json file (plain, .gz or .zst), a directory with files per split, or a hub id
    #[arg(long, visible_alias = "dataset-name", value_name = "PATH", help_heading = "Answers")]
    pub(crate) dataset: String,

    /// Split to read, where --dataset is a directory [default: test]
    #[arg(long, value_name = "SPLIT", help_heading = "Answers")]
    pub(crate) split: Option<String>,

    /// Whether rows begin with a BOS token [default: as the tokenizer or the chat template does it]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL", help_heading = "Answers")]
    pub(crate) add_bos_token: Option<bool>,

    /// Rows per pass
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Answers")]
    pub(crate) batch_size: u32,

    /// What is written of them
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub(crate) write: Write,

    /// Write rewards with mean 0 and deviation 1 on the reference set of the model's training
    #[arg(long, help_heading = "Output")]
    pub(crate) normalize: bool,

    /// Write rows to this new file, complete or not at all, instead of standard output
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
}

/// The rows that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Write {
    /// Each row with the score of each answer
    #[default]
    Scores,
    /// Each row of two answers with the probability that the first is better
    Compare,
    /// Of all answers to one prompt, in one row or in rows that follow each other, the best one
    Best,
    /// Of all answers to one prompt the best against the worst: a preference file to train on
    Preferences,
}
