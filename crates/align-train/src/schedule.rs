//! Learning rate schedules: the formulas of transformers' `get_scheduler`, as functions of the step.
//!
//! A schedule has no state, so there is nothing to save: a resumed run asks for the same step and gets
//! the same rate.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate moves over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
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
    /// With the inverse square root of the step.
    InverseSqrt,
    /// Constant, then down to zero along half a cosine in the last steps.
    WarmupStableDecay,
}

/// The learning rate of every step of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The form.
    pub kind: LrSchedulerType,
    /// The rate that the form is a fraction of.
    pub learning_rate: f64,
    /// Steps over which the rate first rises from 0 in a straight line.
    pub warmup_steps: usize,
    /// Steps of the run.
    pub total_steps: usize,
    /// Steps of the last phase of [`LrSchedulerType::WarmupStableDecay`].
    pub decay_steps: usize,
}

impl Schedule {
    /// The learning rate of the update that follows `done` updates. As in transformers, the first update
    /// of a run with warmup has rate 0.
    pub fn rate(&self, done: usize) -> f64 {
        self.learning_rate * self.fraction(done)
    }

    fn fraction(&self, done: usize) -> f64 {
        let (step, warmup, total) = (done as f64, self.warmup_steps as f64, self.total_steps as f64);
        if self.kind != LrSchedulerType::Constant && done < self.warmup_steps {
            return step / warmup.max(1.0);
        }
        match self.kind {
            LrSchedulerType::Constant | LrSchedulerType::ConstantWithWarmup => 1.0,
            LrSchedulerType::Linear => ((total - step) / (total - warmup).max(1.0)).max(0.0),
            LrSchedulerType::Cosine => half_cosine((step - warmup) / (total - warmup).max(1.0)),
            LrSchedulerType::InverseSqrt => {
                let timescale = if self.warmup_steps == 0 { 10_000.0 } else { warmup };
                1.0 / ((step + timescale - warmup) / timescale).sqrt()
            }
            LrSchedulerType::WarmupStableDecay => {
                let decay = self.decay_steps as f64;
                // transformers lets the stable phase be negative when the phases do not fit; the decay
                // then starts before the warmup ends. `TrainConfig` refuses that.
                let stable_end = total - decay;
                match done {
                    _ if step < stable_end => 1.0,
                    _ if step < total => half_cosine((step - stable_end) / decay.max(1.0)),
                    _ => 0.0,
                }
            }
        }
    }
}

/// From 1 to 0 as `progress` goes from 0 to 1.
fn half_cosine(progress: f64) -> f64 {
    (0.5 * (1.0 + (PI * 0.5 * 2.0 * progress).cos())).max(0.0)
}
