//! Learning rate schedules: the formulas of transformers' `get_scheduler`, as functions of the step.
//!
//! A schedule has no state, so there is nothing to save: a resumed run asks for the same step and gets
//! the same rate.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

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
                half_cosine(((step + decay - total) / decay.max(1.0)).clamp(0.0, 1.0))
            }
        }
    }
}

/// From 1 to 0 as `progress` goes from 0 to 1.
fn half_cosine(progress: f64) -> f64 {
    (0.5 * (1.0 + (PI * 0.5 * 2.0 * progress).cos())).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates of a run of 10 updates with learning rate 1, from transformers 5.23:
    ///
    /// ```python
    /// optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    /// schedule = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=10,
    ///                          scheduler_specific_kwargs={"num_decay_steps": decay})
    /// rates = [(schedule.get_last_lr()[0], optimizer.step(), schedule.step())[0] for _ in range(11)]
    /// print([rates[i] for i in (0, 1, 3, 4, 7, 9, 10)])
    /// ```
    fn check(kind: LrSchedulerType, warmup_steps: usize, decay_steps: usize, expected: [f64; 7]) {
        let schedule = Schedule { kind, learning_rate: 1.0, warmup_steps, total_steps: 10, decay_steps };
        for (step, expected) in [0, 1, 3, 4, 7, 9, 10].into_iter().zip(expected) {
            let found = schedule.rate(step);
            assert!((found - expected).abs() < 1e-15, "{kind:?} step {step}: {found} instead of {expected}");
        }
    }

    #[test]
    fn constant_is_that_of_transformers() {
        check(LrSchedulerType::Constant, 0, 0, [1.0; 7]);
        check(LrSchedulerType::ConstantWithWarmup, 3, 0, [0.0, 1.0 / 3.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn linear_is_that_of_transformers() {
        let s = 1.0 / 7.0;
        check(LrSchedulerType::Linear, 3, 0, [0.0, 1.0 / 3.0, 1.0, 6.0 * s, 3.0 * s, s, 0.0]);
        check(LrSchedulerType::Linear, 0, 0, [1.0, 0.9, 0.7, 0.6, 0.3, 0.1, 0.0]);
    }

    #[test]
    fn cosine_is_that_of_transformers() {
        let rates = [0.0, 1.0 / 3.0, 1.0, 0.9504844339512095, 0.38873953302184283, 0.04951556604879048, 0.0];
        check(LrSchedulerType::Cosine, 3, 0, rates);
    }

    #[test]
    fn inverse_sqrt_is_that_of_transformers() {
        let rates = [
            0.0,
            1.0 / 3.0,
            1.0,
            0.8660254037844387,
            0.6546536707079771,
            0.5773502691896258,
            0.5477225575051661,
        ];
        check(LrSchedulerType::InverseSqrt, 3, 0, rates);
        let rates = [
            1.0,
            0.9999500037496877,
            0.9998500337415648,
            0.9998000599800071,
            0.9996501836428782,
            0.9995503035223668,
            0.9995003746877732,
        ];
        check(LrSchedulerType::InverseSqrt, 0, 0, rates);
    }

    #[test]
    fn warmup_stable_decay_is_that_of_transformers() {
        let rates = [0.0, 1.0 / 3.0, 1.0, 1.0, 0.8535533905932737, 0.14644660940672627, 0.0];
        check(LrSchedulerType::WarmupStableDecay, 3, 4, rates);
        let rates = [
            1.0,
            0.9755282581475768,
            0.7938926261462366,
            0.6545084971874737,
            0.2061073738537635,
            0.024471741852423234,
            0.0,
        ];
        check(LrSchedulerType::WarmupStableDecay, 0, 10, rates);
    }
}
