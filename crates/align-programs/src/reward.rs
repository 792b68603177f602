//! Reward models: a model and ranked answers in, a scalar judge and how far to trust it out.

use align_cli::{Entry, Program, Trains};
use align_reward::{Job, Parts};
use align_stage::{Host, Result};

/// The program.
pub const REWARD: Entry = Entry::training::<Options>(
    Program::new(
        "train-reward",
        "Reward models: a model and ranked answers in, a scalar judge and how far to trust it out.",
    )
    .with_recipe(include_str!("../recipes/reward.toml"))
    .with_essentials(&[crate::TRAINING, ESSENTIALS]),
);

/// The options of the short help beside those of all training.
const ESSENTIALS: &[&str] = &["use-peft", "max-length", "freeze-backbone", "head"];

/// The job.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    job: Job,
}

impl Trains for Options {
    fn train(&self, host: &Host<'_>) -> Result<()> {
        align_reward::train(&self.job, host, Parts::default()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
