//! Preference training: a model and preference data in, an aligned Hugging Face model out.

use align_cli::{Entry, Program, Trains};
use align_dpo::{Job, Parts};
use align_stage::{Host, Judge, Result};
use align_world_judge::{JudgeOptions, WorldQuality};

/// The program.
pub const DPO: Entry = Entry::training::<Options>(
    Program::new(
        "train-dpo",
        "Preference training (DPO and its relatives): a model and preference data in, an aligned model out.",
    )
    .with_recipe(include_str!("../recipes/dpo.toml"))
    .with_essentials(&[crate::TRAINING, ESSENTIALS]),
);

/// The options of the short help beside those of all training.
const ESSENTIALS: &[&str] =
    &["use-peft", "max-length", "loss-type", "beta", "ref-model", "precompute-ref-log-probs"];

/// The job, and who judges what comes of it.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    job: Job,
    #[command(flatten, next_help_heading = "Held-out answers")]
    judge: JudgeOptions,
}

impl Trains for Options {
    fn train(&self, host: &Host<'_>) -> Result<()> {
        let judge = self.judge.judge.map(|_| Judge {
            name: "the judge of the fixtures' world",
            check: &|prompt, origin| Ok(WorldQuality::check([(prompt, origin)])?),
            quality: &|prompt, answer, origin| Ok(WorldQuality::of(prompt, answer, origin)?),
        });
        align_dpo::train(&self.job, host, Parts { judge, ..Parts::default() }).map(drop)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
