//! Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.

use std::process::ExitCode;

use align_cli::Program;
use align_sft::{Job, Parts};

const PROGRAM: Program = Program {
    name: "train-sft",
    about: "Supervised fine-tuning: a model and demonstrations in, a Hugging Face model directory out.",
    recipe: Some(include_str!("../recipe.toml")),
};

fn main() -> ExitCode {
    align_cli::train(&PROGRAM, |job: &Job, host| align_sft::train(job, host, Parts::default()).map(drop))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Job>(&[]);
    }
}
