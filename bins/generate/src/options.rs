//! Every option of the program.

use std::path::PathBuf;

use align_models::generation::GenerationOptions;
use align_stage::ModelOptions;
use anyhow::ensure;
use serde::Serialize;

use crate::prompts::PromptOptions;

/// The command line, flattened from its parts.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub(crate) struct Options {
    /// TOML file with options; flags override it
    #[arg(long, value_name = "FILE", help_heading = "Model and device")]
    config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelOptions,
    #[command(flatten)]
    pub(crate) prompts: PromptOptions,
    #[command(flatten, next_help_heading = "Generation")]
    pub(crate) generation: GenerationOptions,
    /// Completions per prompt, each with random numbers of its own
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = align_limits::whole(1..=65_536))]
    pub(crate) num_return_sequences: usize,

    /// Write rows as JSON lines to this new file, complete or not at all; `-` writes them to standard output
    /// as they come. Without it prompts and completions are printed for reading
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Output")]
    pub(crate) output: Option<PathBuf>,
}

impl Options {
    /// Refuses settings without meaning, before anything is read.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.generation.check()?;
        ensure!(
            self.generation.temperature > 0.0 || self.num_return_sequences == 1,
            "`num_return_sequences` must be 1 at `temperature` 0 (greedy), where all completions of a prompt \
             are the same, but is {}",
            self.num_return_sequences
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
