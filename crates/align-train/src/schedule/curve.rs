//! The forms of schedules.

use std::f64::consts::PI;

use super::{Plateau, Schedule};

/// The form of a schedule after its warmup, with its arguments. Their names are those of transformers.
#[derive(Clone, Debug, PartialEq)]
pub enum Curve {
    /// The same throughout.
    Constant,
    /// Down to zero in a straight line.
    Linear,
    /// Along a cosine, down to a floor.
    Cosine {
        /// Waves of the cosine; with a half it falls once.
        num_cycles: f64,
        /// What it falls to.
        floor: Floor,
    },
    /// Down to zero along half a cosine, from the top again at each restart.
    CosineWithRestarts {
        /// How often it falls.
        num_cycles: usize,
    },
    /// Down along a power of the share of the run that is left.
    Polynomial {
        /// The learning rate that it falls to.
        lr_end: f64,
        /// The power.
        power: f64,
    },
    /// With the inverse square root of the step.
    InverseSqrt {
        /// Steps over which it falls by √2; as many as of warmup where none are said, or 10,000 without warmup.
        timescale: Option<usize>,
    },
    /// Constant, then down in the last steps.
    WarmupStableDecay(StableDecay),
    /// Constant, and lower whenever evaluations get no better.
    Plateau(Plateau),
}

/// What a cosine falls to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Floor {
    /// A share of the peak.
    Rate(f64),
    /// A learning rate.
    LearningRate(f64),
}

/// The phases of [`Curve::WarmupStableDecay`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StableDecay {
    /// Steps of the last phase.
    pub decay_steps: usize,
    /// Steps of the phase before it; what is left of the run where none are said.
    pub stable_steps: Option<usize>,
    /// The form of the warmup.
    pub warmup: Ramp,
    /// The form of the last phase.
    pub decay: Ramp,
    /// The share of the peak from which it rises and to which it falls.
    pub min_lr_ratio: f64,
    /// Waves of the cosine of [`Ramp::Cosine`] in the last phase.
    pub num_cycles: f64,
}

/// The form of a warmup or a decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ramp {
    /// A straight line.
    Linear,
    /// Half a cosine.
    Cosine,
    /// 1 − √x, steep at the side of the floor (warmup: 1 − √(1 − x)).
    OneMinusSqrt,
}

impl Curve {
    /// The share of the peak learning rate after so many updates.
    pub(super) fn fraction(&self, schedule: &Schedule, done: usize) -> f64 {
        let (warmup_steps, total_steps) = (schedule.warmup_steps, schedule.total_steps);
        let (step, warmup, total) = (done as f64, warmup_steps as f64, total_steps as f64);
        if done < warmup_steps {
            let progress = step / warmup.max(1.0);
            return match self {
                Self::WarmupStableDecay(phases) => phases.rise(progress),
                _ => progress,
            };
        }
        let progress = (step - warmup) / (total - warmup).max(1.0);
        match *self {
            Self::Constant | Self::Plateau(_) => 1.0,
            Self::Linear => ((total - step) / (total - warmup).max(1.0)).max(0.0),
            Self::Cosine { num_cycles, floor } => {
                let floor = match floor {
                    Floor::Rate(rate) => rate,
                    Floor::LearningRate(rate) => rate / schedule.learning_rate,
                };
                above(cosine(num_cycles, progress), floor)
            }
            Self::CosineWithRestarts { .. } if progress >= 1.0 => 0.0,
            Self::CosineWithRestarts { num_cycles } => cosine(0.5, (num_cycles as f64 * progress) % 1.0),
            Self::Polynomial { lr_end, .. } if done > total_steps => lr_end / schedule.learning_rate,
            Self::Polynomial { lr_end, power } => {
                let range = schedule.learning_rate - lr_end;
                (range * (1.0 - progress).powf(power) + lr_end) / schedule.learning_rate
            }
            Self::InverseSqrt { timescale } => {
                let default = if warmup_steps == 0 { 10_000 } else { warmup_steps };
                let timescale = timescale.unwrap_or(default) as f64;
                1.0 / ((step + (timescale - warmup)) / timescale).sqrt()
            }
            Self::WarmupStableDecay(phases) => {
                let left = total_steps.saturating_sub(warmup_steps + phases.decay_steps);
                phases.fall(step - warmup - phases.stable_steps.unwrap_or(left) as f64)
            }
        }
    }
}

impl StableDecay {
    /// In the warmup.
    fn rise(&self, progress: f64) -> f64 {
        let factor = match self.warmup {
            Ramp::Linear => progress,
            Ramp::Cosine => 0.5 * (1.0 - (PI * progress).cos()),
            Ramp::OneMinusSqrt => 1.0 - (1.0 - progress).sqrt(),
        };
        above(factor, self.min_lr_ratio)
    }

    /// After so many steps of the last phase; below 0 it has not begun.
    fn fall(&self, step: f64) -> f64 {
        let decay_steps = self.decay_steps as f64;
        if step < 0.0 {
            return 1.0;
        }
        if step >= decay_steps {
            return self.min_lr_ratio;
        }
        let progress = step / decay_steps.max(1.0);
        let factor = match self.decay {
            Ramp::Linear => 1.0 - progress,
            Ramp::Cosine => cosine(self.num_cycles, progress),
            Ramp::OneMinusSqrt => 1.0 - progress.sqrt(),
        };
        above(factor, self.min_lr_ratio)
    }
}

/// Between the floor and 1 as `factor` is between 0 and 1.
fn above(factor: f64, floor: f64) -> f64 {
    (factor * (1.0 - floor) + floor).max(0.0)
}

/// From 1, down and up again in each of the waves, as `progress` goes from 0 to 1.
fn cosine(num_cycles: f64, progress: f64) -> f64 {
    0.5 * (1.0 + (PI * num_cycles * 2.0 * progress).cos())
}
