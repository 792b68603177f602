//! The options of the critic-free family: TRL's names and defaults.
//!
//! What only some algorithms use is optional, so that giving it to another can be refused; its default is in the help.

use align_models::generation::GenerationOptions;
use serde::Serialize;
use serde_json::Value;

use super::loss::Importance;
use super::{GroupAlgorithm, GroupConfig, GroupLossType};

/// What an advantage is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ScaleRewards {
    /// The deviation of its group
    Group,
    /// The deviation of the phase
    Batch,
    /// Nothing
    None,
}

/// Groups, their advantages and their loss.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Critic-free methods")]
pub struct GroupOptions {
    /// Completions of each prompt [default: 8; rloo: 2; reinforce_pp: 1]
    #[arg(long, value_parser = align_limits::count())]
    pub num_generations: Option<usize>,
    /// The loss of grpo [default: dapo, as in TRL]
    #[arg(long, value_enum)]
    pub loss_type: Option<GroupLossType>,
    /// Weight of the divergence from the reference: k3 in the loss; in the reward with rloo and reinforce_pp
    /// [default: 0; rloo: 0.05; reinforce_pp: 0.01]
    #[arg(long, value_parser = align_limits::finite())]
    pub beta: Option<f64>,
    /// What advantages are divided by, with grpo, dapo, gspo and cispo [default: group]
    #[arg(long, value_enum)]
    pub scale_rewards: Option<ScaleRewards>,
    /// Whiten the advantages of rloo over the phase
    #[arg(long)]
    pub normalize_advantages: bool,
    /// How far below 1 the ratio may fall [default: 0.2; gspo: 0.0003]
    #[arg(long, value_parser = align_limits::finite())]
    pub epsilon: Option<f64>,
    /// How far above 1 it may rise [default: epsilon; dapo: 0.28; gspo: 0.0004]; with cispo the cap itself [default: 5]
    #[arg(long, value_parser = align_limits::finite())]
    pub epsilon_high: Option<f64>,
    /// Cap of the ratio (two-sided clipping); like all that bounds it, of use where a phase has more than one update
    #[arg(long, value_parser = align_limits::finite())]
    pub delta: Option<f64>,
    /// What has a ratio [default: token; gspo: sequence]
    #[arg(long, value_enum)]
    pub importance_sampling_level: Option<Importance>,
    /// Temperature of sapo where the advantage is positive [default: 1]
    #[arg(long, value_parser = align_limits::finite())]
    pub sapo_temperature_pos: Option<f64>,
    /// Temperature of sapo where it is not [default: 1.05]
    #[arg(long, value_parser = align_limits::finite())]
    pub sapo_temperature_neg: Option<f64>,
    /// Power of vespo's weight where the advantage is positive [default: 2]
    #[arg(long, value_parser = align_limits::finite())]
    pub vespo_k_pos: Option<f64>,
    /// Decay of vespo's weight where the advantage is positive [default: 3]
    #[arg(long, value_parser = align_limits::finite())]
    pub vespo_lambda_pos: Option<f64>,
    /// Power of vespo's weight where the advantage is negative [default: 3]
    #[arg(long, value_parser = align_limits::finite())]
    pub vespo_k_neg: Option<f64>,
    /// Decay of vespo's weight where the advantage is negative [default: 2]
    #[arg(long, value_parser = align_limits::finite())]
    pub vespo_lambda_neg: Option<f64>,
    /// Leave completions that did not end out of the loss [default: false; dapo: true]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub mask_truncated_completions: Option<bool>,
    /// Samplings in a phase at most: prompts whose completions all score the same are replaced by others and sampled
    /// again (DAPO's dynamic sampling) [default: 1; dapo: 10]
    #[arg(long, value_parser = align_limits::count())]
    pub max_num_gen_batches: Option<usize>,
    /// The last so many tokens before the length limit cost reward, up to 1 (DAPO's soft overlong punishment)
    #[arg(long, value_parser = align_limits::tokens())]
    pub soft_punish_cache: Option<usize>,
    /// Leave out completions with a negative advantage that the policy has left by so many nats per token
    #[arg(long, value_parser = align_limits::finite())]
    pub off_policy_mask_threshold: Option<f64>,
    /// Share of the tokens, those of highest entropy, that the loss is of [default: 1]
    #[arg(long, value_parser = align_limits::finite())]
    pub top_entropy_quantile: Option<f64>,
    /// Weigh the divergence in the loss by the ratio, so that it stays unbiased off-policy
    #[arg(long)]
    pub use_bias_correction_kl: bool,
    /// Times that a phase's completions are trained on [default: 1]
    #[arg(long, value_parser = align_limits::count())]
    pub num_iterations: Option<usize>,
    /// Micro-batches sampled in a phase [default: gradient_accumulation_steps]
    #[arg(long, value_parser = align_limits::count())]
    pub steps_per_generation: Option<usize>,
}

/// The settings of a run beside the family's own options, as far as the family needs them.
#[derive(Clone, Debug)]
pub struct GroupSetting<'a> {
    /// The options by which completions are sampled.
    pub generation: &'a GenerationOptions,
    /// Completions per micro-batch.
    pub per_device_train_batch_size: usize,
    /// Micro-batches per update, on each rank.
    pub gradient_accumulation_steps: usize,
    /// Ranks, among which a phase is dealt.
    pub ranks: usize,
}

impl GroupOptions {
    /// The options that not every algorithm uses and that were given, with their values.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        let number = |name, value: Option<f64>| value.map(|value| (name, value.to_string()));
        let count = |name, value: Option<usize>| value.map(|value| (name, value.to_string()));
        let switch = |name, on: bool| on.then(|| (name, true.to_string()));
        let level = self.importance_sampling_level.map(|it| it.name());
        let scale = self.scale_rewards.map(|it| it.name());
        [
            count("num_generations", self.num_generations),
            self.loss_type.map(|loss| ("loss_type", loss.name().to_owned())),
            number("beta", self.beta),
            scale.map(|scale| ("scale_rewards", scale.to_owned())),
            switch("normalize_advantages", self.normalize_advantages),
            number("epsilon", self.epsilon),
            number("epsilon_high", self.epsilon_high),
            number("delta", self.delta),
            level.map(|level| ("importance_sampling_level", level.to_owned())),
            number("sapo_temperature_pos", self.sapo_temperature_pos),
            number("sapo_temperature_neg", self.sapo_temperature_neg),
            number("vespo_k_pos", self.vespo_k_pos),
            number("vespo_lambda_pos", self.vespo_lambda_pos),
            number("vespo_k_neg", self.vespo_k_neg),
            number("vespo_lambda_neg", self.vespo_lambda_neg),
            self.mask_truncated_completions.map(|on| ("mask_truncated_completions", on.to_string())),
            count("max_num_gen_batches", self.max_num_gen_batches),
            count("soft_punish_cache", self.soft_punish_cache),
            number("off_policy_mask_threshold", self.off_policy_mask_threshold),
            number("top_entropy_quantile", self.top_entropy_quantile),
            switch("use_bias_correction_kl", self.use_bias_correction_kl),
            count("num_iterations", self.num_iterations),
            count("steps_per_generation", self.steps_per_generation),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The options that were not given and that the method uses, with the values they have then. Given, they change
    /// nothing.
    pub fn defaulted(&self, config: &GroupConfig) -> Vec<(&'static str, Value)> {
        let algorithm = config.algorithm;
        let mut defaulted = Vec::new();
        let mut add = |name, was_given: bool, value: Value| {
            if !was_given && algorithm.uses(name, self.loss_type) {
                defaulted.push((name, value));
            }
        };
        add("num_generations", self.num_generations.is_some(), config.num_generations.into());
        let loss = algorithm.preset().loss.filter(|_| algorithm == GroupAlgorithm::Grpo);
        if let Some(loss) = loss {
            add("loss_type", self.loss_type.is_some(), loss.name().into());
        }
        add("beta", self.beta.is_some(), config.penalty.beta().into());
        add("scale_rewards", self.scale_rewards.is_some(), "group".into());
        if let Some(clip) = config.clip().filter(|_| config.leaves_its_samples()) {
            add("epsilon", self.epsilon.is_some(), clip.low.into());
            add("epsilon_high", self.epsilon_high.is_some(), clip.high.into());
        }
        add(
            "mask_truncated_completions",
            self.mask_truncated_completions.is_some(),
            config.mask_truncated.into(),
        );
        add("max_num_gen_batches", self.max_num_gen_batches.is_some(), config.max_num_gen_batches.into());
        add("num_iterations", self.num_iterations.is_some(), config.num_iterations.into());
        add("steps_per_generation", self.steps_per_generation.is_some(), config.steps_per_generation.into());
        defaulted
    }
}

#[cfg(feature = "clap")]
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    #[test]
    fn every_option_that_is_given_is_seen_and_known() {
        let command = GroupOptions::augment_args(clap::Command::new("options"));
        let flags = command.get_arguments().map(|argument| {
            let name = argument.get_long().unwrap_or_default();
            match argument.get_possible_values().first() {
                _ if !argument.get_action().takes_values() => format!("--{name}"),
                Some(value) => format!("--{name}={}", value.get_name()),
                None => format!("--{name}=1"),
            }
        });
        let words: Vec<String> = std::iter::once("options".to_owned()).chain(flags).collect();
        let names: BTreeSet<String> =
            command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
        let options = GroupOptions::from_arg_matches(&command.get_matches_from(words)).unwrap();
        let given: BTreeSet<String> = options.given().into_iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(given, names);
        // A name that no method knows panics.
        for (name, _) in options.given() {
            GroupAlgorithm::Grpo.uses(name, None);
        }
    }
}
