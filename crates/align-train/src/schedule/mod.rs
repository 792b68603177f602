//! Learning rate schedules: the formulas of transformers' `get_scheduler`, as functions of the step.
//!
//! Such a schedule has no state, so there is nothing to save: a resumed run asks for the same step and gets the same rate. Only
//! [`Curve::Plateau`] goes by what evaluations measure ([`plateau`]).

mod curve;
mod plateau;

use serde::{Deserialize, Serialize};

pub use curve::{Curve, Floor, Ramp, StableDecay};
pub use plateau::Plateau;
pub(crate) use plateau::PlateauState;

/// How the learning rate moves over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum LrSchedulerType {
    /// The same throughout.
    Constant,
    /// Constant after a linear warmup.
    ConstantWithWarmup,
    /// Down to zero in a straight line.
    Linear,
    /// Down to zero along half a cosine.
    Cosine,
    /// Down to zero along half a cosine, several times.
    CosineWithRestarts,
    /// Down along half a cosine to a learning rate above zero.
    CosineWithMinLr,
    /// Down to a learning rate along a power of what is left of the run.
    Polynomial,
    /// With the inverse square root of the step.
    InverseSqrt,
    /// Constant, then down to zero along half a cosine in the last steps.
    WarmupStableDecay,
    /// Constant, and lower whenever evaluations get no better.
    ReduceLrOnPlateau,
}

/// The learning rate of every step of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The form.
    pub curve: Curve,
    /// The rate that the form is a fraction of.
    pub learning_rate: f64,
    /// Steps over which the rate first rises from 0.
    pub warmup_steps: usize,
    /// Steps of the run.
    pub total_steps: usize,
}

impl Schedule {
    /// The learning rate of the update that follows `done` updates. As in transformers, the first update
    /// of a run with warmup has rate 0. Of a plateau's schedule, the rate that it starts from.
    pub fn rate(&self, done: usize) -> f64 {
        self.learning_rate * self.curve.fraction(self, done)
    }

    /// The rules of a schedule that goes by evaluations.
    pub(crate) fn plateau(&self) -> Option<&Plateau> {
        match &self.curve {
            Curve::Plateau(plateau) => Some(plateau),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
