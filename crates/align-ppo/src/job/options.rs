//! Every option of the job.

use align_data::DataOptions;
use align_models::generation::GenerationOptions;
use align_reward::OutsideOptions;
use align_stage::{Error, Given, LoraOptions, ModelOptions, OutputOptions, Result, ensure};
use align_train::TrainOptions;
use serde::Serialize;

use super::method::MethodName;
use super::reward::RewardOptions;
use crate::{GroupOptions, PpoOptions, SupervisorOptions};

/// Said of settings that are there to be refused with a reason: their users know them from other programs.
#[cfg(feature = "clap")]
const WHOLE_DISTRIBUTION: &str = "Left as it is: log-probs, KL and gradient are of the policy's whole distribution, and so must \
                                  be the samples";

/// An on-policy job, PPO or another method: all its options.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(
    mut_arg("top_k", |option| option.help(WHOLE_DISTRIBUTION)),
    mut_arg("top_p", |option| option.help(WHOLE_DISTRIBUTION)),
    mut_arg("min_new_tokens", |option| option.help(WHOLE_DISTRIBUTION)),
    mut_arg("repetition_penalty", |option| option.help(WHOLE_DISTRIBUTION)),
)]
pub struct Job {
    /// The model, the device and the seed.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The adapter that is trained, if it is one.
    #[command(flatten)]
    pub lora: LoraOptions,
    /// Where it writes.
    #[command(flatten)]
    pub output: OutputOptions,
    /// The prompts, and how they are read.
    #[command(flatten, next_help_heading = "Data")]
    pub data: DataOptions,
    /// The method, and what is sampled.
    #[command(flatten)]
    pub rollout: RolloutOptions,
    /// How it is sampled.
    #[command(flatten, next_help_heading = "Rollouts")]
    pub generation: GenerationOptions,
    /// What gives scores.
    #[command(flatten)]
    pub reward: RewardOptions,
    /// Who else gives scores, outside of the process.
    #[command(flatten)]
    pub outside: OutsideOptions,
    /// PPO's own.
    #[command(flatten)]
    pub ppo: PpoOptions,
    /// What the methods without a critic have.
    #[command(flatten)]
    pub group: GroupOptions,
    /// What the run is watched for.
    #[command(flatten)]
    pub supervisor: SupervisorOptions,
    /// How it is trained.
    #[command(flatten)]
    pub train: TrainOptions,
}

align_stage::job!(Job, "ppo", "CAUSAL_LM", |job| job.prompts());

/// What is sampled, and how much of it.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Rollouts")]
pub struct RolloutOptions {
    /// How the model learns from its completions' scores
    #[arg(long, value_enum, default_value_t = MethodName::Ppo, hide_possible_values = false)]
    pub method: MethodName,
    /// Completions sampled in the whole run, in place of `num_train_epochs` and `max_steps`
    #[arg(long, value_parser = align_limits::steps(), value_name = "N")]
    pub total_episodes: Option<usize>,
    /// Taken off the score of a completion that did not end by itself; for the critic it ends there all the same
    #[arg(long, value_parser = align_limits::finite(), value_name = "SCORE")]
    pub missing_eos_penalty: Option<f64>,
    /// Column of the data with the right answer, for rewards that compare, and for `reward_command` and `reward_url`
    #[arg(long, default_value = "answer", value_name = "COLUMN")]
    pub reference_column: String,
    /// Model to stay close to [default: the model as it starts]
    #[arg(long, visible_alias = "ref-model-path", value_name = "DIR|ID")]
    pub ref_model: Option<String>,
    /// Held-out prompts that are answered before and after training
    #[arg(long, value_parser = align_limits::rows(), default_value_t = 200, value_name = "N")]
    pub num_eval_prompts: usize,
    /// Answers to each of them, all of which count
    #[arg(long, value_parser = align_limits::count(), default_value_t = 4, value_name = "N")]
    pub num_generations_eval: usize,
}

/// Options that only matter with held-out prompts.
pub(super) const FOR_EVALUATION: &[&str] = &["num_eval_prompts", "num_generations_eval"];

/// Options of evaluation during training. An on-policy job has no such evaluation, so they are refused.
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

impl Job {
    /// How prompts are read: answers are sampled, so that no limit concerns prompt and answer together.
    fn prompts(&self) -> DataOptions {
        DataOptions { max_length: None, max_completion_length: None, ..self.data.clone() }
    }

    /// How completions are sampled. TRL calls their longest length `max_completion_length` in its critic-free trainers.
    pub(super) fn generation(&self) -> Result<GenerationOptions> {
        let mut generation = self.generation.clone();
        match self.data.max_completion_length {
            Some(0) => return Err(Error::option("max_completion_length", "must be at least 1, found 0")),
            Some(length) => generation.max_new_tokens = length,
            None => {}
        }
        Ok(generation)
    }

    /// Refuses options that were given and that this program does not go by.
    pub(super) fn refuse_what_has_no_effect(&self, given: &Given) -> Result<()> {
        let during = "the model is measured before and after training, by `num_eval_prompts`";
        given.refuse(EVALUATION, during)?;
        let because = "prompts are limited by `max_prompt_length`, answers by `max_new_tokens`";
        given.refuse(&["max_length", "truncation_mode"], because)?;
        given.refuse(&["dataset_streaming"], "prompts are read whole before the first phase")?;
        let because = "`per_device_train_batch_size` says how many completions a micro-batch has";
        given.refuse(&["max_tokens_per_micro_batch"], because)?;
        if self.data.max_completion_length.is_some() {
            let because = "because `max_completion_length` is given, another name for the same";
            given.refuse(&["max_new_tokens"], because)?;
        }
        if let Some(episodes) = self.rollout.total_episodes {
            ensure!(episodes > 0, "`total_episodes`: must be at least 1, found 0");
            given.refuse(&["max_steps", "num_train_epochs"], "because `total_episodes` is given")?;
        }
        self.outside.refuse_without_effect(given)?;
        ensure!(self.rollout.num_eval_prompts > 0, "`num_eval_prompts`: must be at least 1, found 0");
        ensure!(self.rollout.num_generations_eval > 0, "`num_generations_eval`: must be at least 1, found 0");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_free_option_of_rollouts_exists() {
        let free = align_train::FREE_OPTIONS.iter().filter(|(group, _)| *group == "rollout");
        for (_, option) in free {
            assert!(RolloutOptions::NAMES.contains(option), "{option}");
        }
    }
}
