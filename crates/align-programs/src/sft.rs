//! Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.

use align_cli::{Entry, Program, Trains};
use align_sft::{Job, Parts};
use align_stage::{Host, Result};

/// The program.
pub const SFT: Entry = Entry::training::<Options>(
    Program::new(
        "train-sft",
        "Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.",
    )
    .with_recipe(include_str!("../recipes/sft.toml"))
    .with_essentials(&[crate::TRAINING, ESSENTIALS]),
);

/// The options of the short help beside those of all training.
const ESSENTIALS: &[&str] = &["use-peft", "max-length", "completion-only-loss"];

/// The job.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    job: Job,
}

impl Trains for Options {
    fn train(&self, host: &Host<'_>) -> Result<()> {
        align_sft::train(&self.job, host, Parts::default()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
