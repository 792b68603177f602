//! Preference training: a model and preference data in, an aligned Hugging Face model out.

use std::process::ExitCode;

use align_cli::Program;
use align_dpo::{Job, Parts};
use align_stage::{Host, Judge, Result};
use align_world_judge::{JudgeOptions, WorldQuality};

const PROGRAM: Program = Program {
    name: "train-dpo",
    about: "Preference training (DPO and its relatives): a model and preference data in, an aligned model out.",
    recipe: Some(include_str!("../recipe.toml")),
};

/// The job, and who judges what comes of it.
#[derive(Clone, Debug, clap::Args)]
struct Options {
    #[command(flatten)]
    job: Job,
    #[command(flatten, next_help_heading = "Held-out answers")]
    judge: JudgeOptions,
}

fn main() -> ExitCode {
    align_cli::train(&PROGRAM, train)
}

fn train(options: &Options, host: &Host<'_>) -> Result<()> {
    let judge = options.judge.judge.map(|_| Judge {
        name: "the judge of the fixtures' world",
        check: &|prompt, origin| Ok(WorldQuality::check([(prompt, origin)])?),
        quality: &|prompt, answer, origin| Ok(WorldQuality::of(prompt, answer, origin)?),
    });
    align_dpo::train(&options.job, host, Parts { judge, ..Parts::default() }).map(drop)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
