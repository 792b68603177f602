//! The options of scoring, and which of them make no sense together.

use align_hub::DeviceChoice;
use align_stage::{Given, PrecisionOptions, Result, ensure};
use serde::Serialize;

use super::Job;
use crate::{RewardKind, RewardSpec};

/// What gives the scores.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Reward")]
pub struct SourceOptions {
    /// Reward model: a directory that train-reward made, or a hub id; not needed where all rewards are rules, or of who is
    /// asked
    #[arg(long, visible_alias = "model", value_name = "DIR|ID")]
    pub model_name_or_path: Option<String>,

    /// Branch, tag or commit of a model that comes from the hub
    #[arg(long, default_value = "main", value_name = "REV")]
    pub model_revision: String,

    /// Where to compute: auto, cpu, cuda, cuda:N or metal; auto takes a GPU if this build has one
    #[arg(long, default_value_t = DeviceChoice::Auto, value_name = "DEVICE")]
    pub device: DeviceChoice,

    /// What operands of products are rounded to.
    #[command(flatten)]
    #[serde(flatten)]
    pub precision: PrecisionOptions,

    /// The model's rewards with mean 0 and deviation 1 on the reference set of its training
    #[arg(long)]
    pub normalize: bool,

    /// Rewards that are added up: model, and the rules length:MIN..MAX, format:REGEX, exact_match and numeric_answer,
    /// each 1 or 0; with a weight before it, as in 0.1*length:1..200; those of a program or a server come to it [default:
    /// model, if one is named]
    #[arg(long, num_args = 1.., value_name = "[WEIGHT*]REWARD")]
    pub reward: Vec<RewardSpec>,
}

/// What is scored.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Answers")]
pub struct AnswerOptions {
    /// Answers: `prompt` with `completion`, with a list `completions`, or with `chosen` and `rejected`; a file
    /// (Parquet, JSON lines, CSV, …), a directory with files per split, a pattern such as 'data/*.parquet', a hub id, or -
    /// for standard input. Rows are read as they are scored
    #[arg(long, visible_alias = "dataset-name", value_name = "PATH")]
    pub dataset: String,

    /// Config of --dataset, where its card (README.md) has several [default: the one that the card says]
    #[arg(long, value_name = "CONFIG")]
    pub dataset_config: Option<String>,

    /// Split to read, where --dataset is a directory [default: test]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,

    /// Column with the right answer, for rewards that compare with it, and for `reward_command` and `reward_url`
    #[arg(long, default_value = "answer", value_name = "COLUMN")]
    pub reference_column: String,

    /// Whether rows begin with a BOS token [default: as the tokenizer or the chat template does it]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub add_bos_token: Option<bool>,

    /// Rows per pass
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = align_limits::whole(1..=65_536))]
    pub batch_size: usize,
}

/// What is made of scores.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Output")]
pub struct RowOptions {
    /// What is written of them
    #[arg(long, value_enum, default_value_t)]
    pub write: Write,
}

/// The rows that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Write {
    /// Each row with the score of each answer
    #[default]
    Scores,
    /// Each row of two answers with the probability that the first is better
    Compare,
    /// Of all answers to one prompt, in one row or in rows that follow each other, the best one
    Best,
    /// Of all answers to one prompt the best against the worst: a preference file to train on
    Preferences,
}

impl Job {
    /// Whether a reward model is among the rewards.
    pub(super) fn reads_model(&self) -> bool {
        let SourceOptions { model_name_or_path, reward, .. } = &self.rewards;
        match reward.is_empty() {
            true => model_name_or_path.is_some() || self.outside.count() == 0,
            false => reward.iter().any(|spec| matches!(spec.kind, RewardKind::Model)),
        }
    }

    /// Refuses options that would do nothing, before anything is read.
    pub(super) fn check(&self, given: &Given) -> Result<()> {
        let SourceOptions { model_name_or_path, reward, .. } = &self.rewards;
        let models = reward.iter().filter(|spec| matches!(spec.kind, RewardKind::Model)).count();
        ensure!(models < 2, "`reward`: names `model` {models} times; one weight is enough");
        let is_asked = self.outside.count() > 0;
        if self.reads_model() {
            ensure!(
                model_name_or_path.is_some(),
                "`model_name_or_path`: is required; name a reward model, with `reward` rules that need none, or with \
                 `reward_command` or `reward_url` who gives rewards"
            );
        } else {
            let names = [
                "model_name_or_path",
                "model_revision",
                "device",
                "dtype",
                "bf16",
                "normalize",
                "add_bos_token",
            ];
            let no_model =
                if reward.is_empty() { "no model is named" } else { "`reward` does not name `model`" };
            given.refuse(&names, no_model)?;
        }
        self.outside.refuse_without_effect(given)?;
        if let Some(model) = model_name_or_path {
            given.refuse_revision_of_directory(model)?;
        }
        if !is_asked && !reward.iter().any(RewardSpec::needs_reference) {
            given.refuse(&["reference_column"], "no reward compares with a right answer")?;
        }
        Ok(())
    }
}
