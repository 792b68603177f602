//! Reinforcement learning from a reward: a model, prompts and what scores answers in, an aligned model out.

use align_cli::{Entry, Program, Recipe, Trains};
use align_ppo::{Job, Parts};
use align_stage::{Host, Result};
use align_world_judge::{JudgeOptions, WorldQuality};

/// The program.
pub const PPO: Entry = Entry::training::<Options>(
    Program::new("train-ppo", "Reinforcement learning from a reward: a model, prompts and what scores answers in, an aligned model out.")
        .with_recipe(include_str!("../recipes/ppo.toml"))
        .with_essentials(&[crate::TRAINING, ESSENTIALS]),
);

/// The same program with another recipe: GRPO on sums in words.
pub const GRPO: Entry =
    PPO.called("train-grpo", Some(Recipe { text: include_str!("../recipes/grpo.toml"), files: None }));

/// The options of the short help beside those of all training.
const ESSENTIALS: &[&str] = &[
    "method",
    "reward-model-path",
    "reward-funcs",
    "ref-model",
    "total-episodes",
    "num-generations",
    "max-new-tokens",
    "kl-coef",
];

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
        let judge = self.judge.judge.map(|_| ("world judge".to_owned(), Box::new(WorldQuality) as _));
        align_ppo::train(&self.job, host, Parts { judge, ..Parts::default() }).map(drop)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<super::Options>(&[]);
    }
}
