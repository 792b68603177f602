//! The options of reward models: TRL's names where TRL has them.

use align_models::RewardHead;
use align_train::{Error, Result};
use serde::Serialize;

/// TRL's default for reward models.
pub const DEFAULT_LEARNING_RATE: f64 = 1e-4;

/// Width of an mlp head that is not told otherwise.
const HEAD_HIDDEN_SIZE: usize = 256;

/// The kind of an untrained head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum HeadType {
    /// One layer without bias, as transformers has it
    Linear,
    /// Two layers with a ReLU between
    Mlp,
}

/// How a list of more than two answers becomes a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum RankingLoss {
    /// The mean over all pairs of the list
    #[default]
    Pairwise,
    /// The likelihood of the whole order
    PlackettLuce,
}

/// The reward model, its objective, and how it is reported.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Reward model")]
pub struct RewardOptions {
    /// The head that a language model gets; a saved reward model keeps its own [default: linear]
    #[arg(long, value_enum)]
    pub head: Option<HeadType>,
    /// Width of an mlp head [default: 256]
    #[arg(long, value_parser = align_limits::count(), value_name = "N")]
    pub head_hidden_size: Option<usize>,
    /// Train the head alone, on features of the backbone that are computed once
    #[arg(long)]
    pub freeze_backbone: bool,
    /// Weight of the term that keeps rewards around zero: (chosen + rejected)² [default: 0]
    #[arg(long, value_parser = align_limits::finite(), value_name = "C")]
    pub center_rewards_coefficient: Option<f64>,
    /// Weight of the best answers' negative log-likelihood per token, which keeps what the backbone knows: for models
    /// with tied embeddings [default: 0]
    #[arg(long, value_parser = align_limits::finite(), value_name = "C")]
    pub sft_coefficient: Option<f64>,
    /// The loss of lists of more than two answers [default: pairwise]
    #[arg(long, value_enum)]
    pub ranking_loss: Option<RankingLoss>,
    /// Column that says where a row comes from: accuracy is reported for each source too
    #[arg(long, default_value = "source", value_name = "COLUMN")]
    pub source_column: String,
    /// Sanity check: train on the first N rows and measure on the same; fails unless they are learned
    #[arg(long, value_parser = align_limits::rows(), value_name = "N")]
    pub overfit_pairs: Option<usize>,
}

/// The checked method of a reward model: the loss and its coefficients.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Method {
    /// The loss of longer lists.
    pub ranking_loss: RankingLoss,
    /// Weight of the centring term.
    pub center_rewards_coefficient: f64,
    /// Weight of the best answers' negative log-likelihood.
    pub sft_coefficient: f64,
}

impl RewardOptions {
    /// The head that was asked for, if one was.
    ///
    /// # Errors
    /// A width without a head that has one.
    pub fn head(&self) -> Result<Option<RewardHead>> {
        match (self.head, self.head_hidden_size) {
            (_, Some(0)) => wrong("head_hidden_size", &0, "must be at least 1"),
            (Some(HeadType::Mlp), width) => {
                Ok(Some(RewardHead::Mlp { hidden_size: width.unwrap_or(HEAD_HIDDEN_SIZE) }))
            }
            (Some(HeadType::Linear) | None, Some(width)) => Err(Error::no_effect(
                "head_hidden_size",
                width,
                "has no effect without `--head mlp`; remove it",
            )),
            (Some(HeadType::Linear), None) => Ok(Some(RewardHead::Linear)),
            (None, None) => Ok(None),
        }
    }

    /// The method that the options ask for, checked.
    ///
    /// # Errors
    /// A coefficient that is no weight, or that would do nothing.
    pub fn method(&self) -> Result<Method> {
        let center_rewards_coefficient =
            weight("center_rewards_coefficient", self.center_rewards_coefficient)?;
        let sft_coefficient = weight("sft_coefficient", self.sft_coefficient)?;
        if self.freeze_backbone && sft_coefficient > 0.0 {
            let problem = "has no effect with `--freeze-backbone`, which trains the head alone; set it to 0";
            return Err(Error::no_effect("sft_coefficient", sft_coefficient, problem));
        }
        if self.overfit_pairs == Some(0) {
            return wrong("overfit_pairs", &0, "must be at least 1");
        }
        let ranking_loss = self.ranking_loss.unwrap_or_default();
        Ok(Method { ranking_loss, center_rewards_coefficient, sft_coefficient })
    }
}

fn weight(option: &'static str, value: Option<f64>) -> Result<f64> {
    let value = value.unwrap_or(0.0);
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        wrong(option, &value, "must be a number, 0 or more")
    }
}

pub(crate) fn wrong<T>(option: &'static str, value: &impl ToString, problem: &str) -> Result<T> {
    Err(Error::Option { option, value: value.to_string(), problem: problem.to_owned() })
}
