//! Reinforcement learning from a reward: a model, prompts and what scores answers in, an aligned model out.

use std::process::ExitCode;

use align_cli::Program;
use align_ppo::{Job, Parts};
use align_stage::{Host, Result};
use align_world_judge::{JudgeOptions, WorldQuality};

const PROGRAM: Program = Program {
    name: "train-ppo",
    about: "Reinforcement learning from a reward: a model, prompts and what scores answers in, an aligned model out.",
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
    let judge = options.judge.judge.map(|_| ("world judge".to_owned(), Box::new(WorldQuality) as _));
    align_ppo::train(&options.job, host, Parts { judge, ..Parts::default() }).map(drop)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
