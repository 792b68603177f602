//! The seam between the loop and whoever watches it: metrics in, actions out. The loop carries the actions out.

use align_train::{Metrics, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Sample;

/// An action that the watch asks the loop for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Say so and go on.
    Warn,
    /// Multiply the KL coefficient.
    RaiseKl {
        /// The factor.
        factor: f64,
    },
    /// Multiply all learning rates to come.
    LowerLearningRate {
        /// The factor, below 1.
        factor: f64,
    },
    /// Go back to the last good checkpoint (weights, optimizer, method), at half the learning rate, with new completions.
    RollBack,
    /// End the run.
    Stop,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Warn => f.write_str("warn"),
            Self::RaiseKl { factor } => write!(f, "raise_kl {factor}"),
            Self::LowerLearningRate { factor } => write!(f, "lower_learning_rate {factor}"),
            Self::RollBack => f.write_str("roll_back"),
            Self::Stop => f.write_str("stop"),
        }
    }
}

/// An action and what made it necessary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The action.
    pub action: Action,
    /// The rule, by its name in the options.
    pub rule: String,
    /// The reason: what was found and what was expected, as a sentence for the log.
    pub reason: String,
}

/// A watch over a run.
pub trait Watch {
    /// Looks at a phase that has ended. `metrics` are the phase's own: those of its updates, and those of
    /// [`crate::Learned`] with `objective/scores` and `completions/…` of the loop.
    fn observe(&mut self, phase: usize, metrics: &Metrics, samples: &[Sample]) -> Vec<Alarm>;

    /// Looks at an update that could not be made, because its loss or a gradient was not finite.
    fn not_finite(&mut self, phase: usize, message: &str) -> Vec<Alarm>;

    /// Whether an action may be [`Action::RollBack`], for which the loop then keeps a checkpoint.
    fn may_roll_back(&self) -> bool;

    /// The run went back: what was seen since the checkpoint no longer holds.
    fn rolled_back(&mut self);

    /// Everything that later answers depend on.
    fn state(&self) -> Value;

    /// Goes on from a state.
    ///
    /// # Errors
    /// If it is not one of this watch.
    fn restore(&mut self, state: &Value) -> Result<()>;
}
