//! Reward models: a model and ranked answers in, a scalar judge and how far to trust it out.

use std::process::ExitCode;

use align_cli::Program;
use align_reward::{Job, Parts};

const PROGRAM: Program = Program {
    name: "train-reward",
    about: "Reward models: a model and ranked answers in, a scalar judge and how far to trust it out.",
    recipe: Some(include_str!("../recipe.toml")),
};

fn main() -> ExitCode {
    align_cli::train(&PROGRAM, |job: &Job, host| align_reward::train(job, host, Parts::default()).map(drop))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Job>(&[]);
    }
}
