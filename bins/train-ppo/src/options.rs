//! Every option of the program: what all training binaries have, and its components' own.

use align_cli::{CommonOptions, Invocation, OutputOptions};
use align_data::DataOptions;
use align_models::generation::GenerationOptions;
use align_ppo::{GroupOptions, PpoOptions, SupervisorOptions};
use align_train::TrainOptions;
use align_world_judge::JudgeOptions;
use anyhow::{bail, ensure};
use serde::Serialize;

use crate::method::MethodName;
use crate::reward::RewardOptions;

/// Said of settings that are there to be refused with a reason: their users know them from other programs.
const WHOLE_DISTRIBUTION: &str = "Left as it is: log-probs, KL and gradient are of the policy's whole distribution, and so must \
                                  be the samples";

/// The command line, flattened from the components.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(
    mut_arg("top_k", |option| option.help(WHOLE_DISTRIBUTION)),
    mut_arg("top_p", |option| option.help(WHOLE_DISTRIBUTION)),
    mut_arg("min_new_tokens", |option| option.help(WHOLE_DISTRIBUTION)),
    mut_arg("repetition_penalty", |option| option.help(WHOLE_DISTRIBUTION)),
)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) common: CommonOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
    #[command(flatten, next_help_heading = "Data")]
    data: DataOptions,
    #[command(flatten)]
    pub(crate) rollout: RolloutOptions,
    #[command(flatten, next_help_heading = "Held-out answers")]
    pub(crate) judge: JudgeOptions,
    #[command(flatten, next_help_heading = "Rollouts")]
    generation: GenerationOptions,
    #[command(flatten)]
    pub(crate) reward: RewardOptions,
    #[command(flatten)]
    pub(crate) ppo: PpoOptions,
    #[command(flatten)]
    pub(crate) group: GroupOptions,
    #[command(flatten)]
    pub(crate) supervisor: SupervisorOptions,
    #[command(flatten)]
    pub(crate) train: TrainOptions,
}

/// What is sampled, and how much of it.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Rollouts")]
pub(crate) struct RolloutOptions {
    /// How the model learns from its completions' scores
    #[arg(long, value_enum, default_value = "ppo", hide_possible_values = false)]
    pub(crate) method: MethodName,
    /// Completions sampled in the whole run, in place of `num_train_epochs` and `max_steps`
    #[arg(long, value_parser = align_limits::steps(), value_name = "N")]
    pub(crate) total_episodes: Option<usize>,
    /// Taken off the score of a completion that did not end by itself; for the critic it ends there all the same
    #[arg(long, value_parser = align_limits::finite(), value_name = "SCORE")]
    pub(crate) missing_eos_penalty: Option<f64>,
    /// Column of the data with the right answer, for rewards that compare
    #[arg(long, default_value = "answer", value_name = "COLUMN")]
    pub(crate) reference_column: String,
    /// Model to stay close to [default: the model as it starts]
    #[arg(long, visible_alias = "ref-model-path", value_name = "DIR|ID")]
    pub(crate) ref_model: Option<String>,
    /// Held-out prompts that are answered before and after training
    #[arg(long, value_parser = align_limits::rows(), default_value_t = 200, value_name = "N")]
    pub(crate) num_eval_prompts: usize,
    /// Answers to each of them, all of which count
    #[arg(long, value_parser = align_limits::count(), default_value_t = 4, value_name = "N")]
    pub(crate) num_generations_eval: usize,
}

/// Options that only matter with held-out prompts.
pub(crate) const FOR_EVALUATION: &[&str] = &["num_eval_prompts", "num_generations_eval", "judge"];

/// Options of evaluation during training, which there is none of.
const EVALUATION: &[&str] = &[
    "eval_strategy",
    "eval_steps",
    "eval_on_start",
    "load_best_model_at_end",
    "metric_for_best_model",
    "greater_is_better",
    "early_stopping_patience",
    "early_stopping_threshold",
    "per_device_eval_batch_size",
];

impl Options {
    /// How prompts are read: answers are sampled, so that no limit concerns prompt and answer together.
    pub(crate) fn data(&self) -> DataOptions {
        DataOptions { max_length: None, max_completion_length: None, ..self.data.clone() }
    }

    /// How completions are sampled. TRL calls their longest length `max_completion_length` in its critic-free trainers.
    pub(crate) fn generation(&self) -> anyhow::Result<GenerationOptions> {
        let mut generation = self.generation.clone();
        match self.data.max_completion_length {
            Some(0) => bail!("`max_completion_length`: must be at least 1, found 0"),
            Some(length) => generation.max_new_tokens = length,
            None => {}
        }
        Ok(generation)
    }

    /// Refuses options that were given and that this program does not go by.
    pub(crate) fn refuse_what_has_no_effect(&self, invocation: &Invocation) -> anyhow::Result<()> {
        let during = "the model is measured before and after training, by `num_eval_prompts`";
        invocation.refuse_given(EVALUATION, during)?;
        let because = "prompts are limited by `max_prompt_length`, answers by `max_new_tokens`";
        invocation.refuse_given(&["max_length", "truncation_mode"], because)?;
        let because = "`per_device_train_batch_size` says how many completions a micro-batch has";
        invocation.refuse_given(&["max_tokens_per_micro_batch"], because)?;
        if self.data.max_completion_length.is_some() {
            let because = "because `max_completion_length` is given, another name for the same";
            invocation.refuse_given(&["max_new_tokens"], because)?;
        }
        if let Some(episodes) = self.rollout.total_episodes {
            ensure!(episodes > 0, "`total_episodes`: must be at least 1, found 0");
            invocation
                .refuse_given(&["max_steps", "num_train_epochs"], "because `total_episodes` is given")?;
        }
        ensure!(self.rollout.num_eval_prompts > 0, "`num_eval_prompts`: must be at least 1, found 0");
        ensure!(self.rollout.num_generations_eval > 0, "`num_generations_eval`: must be at least 1, found 0");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args as _;

    #[test]
    fn every_free_option_of_rollouts_exists() {
        let command = RolloutOptions::augment_args(clap::Command::new("options"));
        let free = align_train::FREE_OPTIONS.iter().filter(|(group, _)| *group == "rollout");
        for (_, option) in free {
            assert!(command.get_arguments().any(|argument| argument.get_id() == option), "{option}");
        }
    }

    #[test]
    fn every_number_has_a_range() {
        align_testkit::assert_numbers_are_bounded::<Options>(&[]);
    }
}
