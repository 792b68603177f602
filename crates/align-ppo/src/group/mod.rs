//! The critic-free family on groups of completions: GRPO, Dr. GRPO, DAPO, GSPO, CISPO, RLOO, REINFORCE++ and the other
//! losses of TRL's `GRPOTrainer`.
//!
//! A group is the completions of one prompt; its own rewards are the baseline, so there is no critic. Read
//! [`GroupTraining`] first: rewards become [`Baseline`] advantages, completions go through the policy packed behind their
//! prompt, and [`GroupLoss`] turns their log-probs into one number. What a member of the family is made of stands in one
//! table: [`GroupAlgorithm`].

mod advantages;
mod algorithm;
mod batch;
mod check;
mod config;
mod loss;
mod metrics;
mod objective;
mod options;
mod training;

pub use advantages::{Baseline, soft_overlong_punishment};
pub use algorithm::{GroupAlgorithm, GroupLossType};
pub use batch::{GroupBatch, GroupCompletion};
pub use config::{GroupConfig, KlPenalty};
pub use loss::{GroupLoss, Importance, PolicyLoss, Reduction};
pub use objective::GroupObjective;
pub use options::{GroupOptions, GroupSetting, ScaleRewards};
pub use training::GroupTraining;
