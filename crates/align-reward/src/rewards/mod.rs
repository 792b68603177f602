//! Rewards of texts: what PPO maximises and evaluation compares, whoever gives them.
//!
//! A [`Reward`] scores answers in batches. Models, rules, programs and servers outside, and mixtures of them are all
//! rewards, so a mixture may hold mixtures.

mod combine;
mod command;
#[cfg(feature = "encoders")]
mod encoder;
mod function;
mod model;
mod number;
mod open;
mod outside;
mod rules;
mod spec;
mod talk;
mod url;

use align_data::{Candidates, Origin, Text};

pub use combine::{Aggregate, Ensemble, WeightedSum};
pub use command::CommandReward;
#[cfg(feature = "encoders")]
pub use encoder::EncoderReward;
pub use function::RewardFn;
pub use model::ModelReward;
pub use open::{LoadedRewardModel, Normalize, OpenReward, Reading, RewardModelDir, open_reward};
pub use outside::{OutsideOptions, Questions};
pub use rules::{ExactMatch, FormatMatch, LengthRange, NumericAnswer};
pub use spec::{RewardKind, RewardSpec};
pub use url::UrlReward;

/// Why rewards could not be given.
#[derive(Debug, thiserror::Error)]
pub enum RewardError {
    /// The answers cannot be read as token ids.
    #[error(transparent)]
    Data(#[from] align_data::DataError),
    /// The model could not be run.
    #[error(transparent)]
    Model(#[from] align_models::Error),
    /// The encoder could not be read or run.
    #[cfg(feature = "encoders")]
    #[error(transparent)]
    Encoder(#[from] align_encoders::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A mixture or a rule that makes no sense.
    #[error("{0}")]
    Config(String),
    /// A row lacks what a reward compares with.
    #[error("{origin}: {reward} compares with a reference answer, and the row has none")]
    NoReference {
        /// The row.
        origin: String,
        /// The reward's name.
        reward: String,
    },
    /// A reward that is no number: the mixture of it would be none either.
    #[error("{origin}: {reward} gives {value}; rewards must be finite")]
    NotFinite {
        /// The row.
        origin: String,
        /// The reward's name.
        reward: String,
        /// What it gave.
        value: f64,
    },
    /// A program or a server that was asked for rewards and did not give any.
    #[error("{who}: {problem}")]
    Outside {
        /// The option that names it, and its value.
        who: String,
        /// What happened.
        problem: String,
    },
}

impl RewardError {
    /// Of somebody outside of this process who was asked for rewards.
    fn outside(who: &str, problem: impl Into<String>) -> Self {
        Self::Outside { who: who.to_owned(), problem: problem.into() }
    }
}

impl From<RewardError> for align_stage::Error {
    fn from(error: RewardError) -> Self {
        match error {
            RewardError::Data(error) => error.into(),
            RewardError::Model(error) => error.into(),
            RewardError::Tensor(error) => error.into(),
            RewardError::Config(problem) => Self::Inputs(problem),
            error => Self::method(error),
        }
    }
}

/// Answers to one prompt, and what is known of the right one.
#[derive(Clone, Debug)]
pub struct Task {
    /// The prompt and the answers to it.
    pub candidates: Candidates,
    /// The right answer, for rewards that compare.
    pub reference: Option<String>,
}

impl From<Candidates> for Task {
    /// A task of which no right answer is known.
    fn from(candidates: Candidates) -> Self {
        Self { candidates, reference: None }
    }
}

/// What gives answers their rewards.
pub trait Reward {
    /// What it is called in metrics and messages.
    fn name(&self) -> &str;

    /// The rewards of all answers of each task, in their order; larger is better.
    ///
    /// # Errors
    /// Answers that it cannot read, or that lack what it compares with.
    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError>;

    /// Refuses a prompt that it knows nothing of, before anybody answers it.
    ///
    /// # Errors
    /// Names the prompt.
    fn knows(&self, _prompt: &Text, _origin: &Origin) -> Result<(), RewardError> {
        Ok(())
    }
}
