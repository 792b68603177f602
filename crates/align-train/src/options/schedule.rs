//! From options to the form of a schedule: `lr_scheduler_type` with its arguments, and the warmup.

use super::check::{at_least_1, without_evaluation};
use super::kwargs::Arguments;
use super::{Strategy, TrainOptions, Warmup};
use crate::{Curve, Error, Floor, LrSchedulerType, Plateau, Ramp, Result, StableDecay};

/// Waves of a cosine, restarts, powers: what is larger would be a mistake.
const CYCLES: std::ops::RangeInclusive<f64> = 0.0..=1e6;
const RATES: std::ops::RangeInclusive<f64> = 0.0..=f32::MAX as f64;
const STEPS: std::ops::RangeInclusive<usize> = 1..=1_000_000_000;

const RAMPS: [(&str, Ramp); 3] =
    [("linear", Ramp::Linear), ("cosine", Ramp::Cosine), ("1-sqrt", Ramp::OneMinusSqrt)];

impl TrainOptions {
    pub(super) fn curve(&self) -> Result<Curve> {
        let kind = self.lr_scheduler_type;
        let taker = format!("lr_scheduler_type {}", kind.name());
        let mut arguments = Arguments::of("lr_scheduler_kwargs", self.lr_scheduler_kwargs.as_deref(), taker)?;
        if let (Some(steps), false) = (self.num_decay_steps, kind == LrSchedulerType::WarmupStableDecay) {
            return Err(Error::no_effect(
                "num_decay_steps",
                steps,
                "has no effect without lr_scheduler_type warmup_stable_decay; remove it",
            ));
        }
        let curve = match kind {
            LrSchedulerType::Constant | LrSchedulerType::ConstantWithWarmup => Curve::Constant,
            LrSchedulerType::Linear => Curve::Linear,
            LrSchedulerType::Cosine => {
                Curve::Cosine { num_cycles: num_cycles(&mut arguments)?, floor: Floor::Rate(0.0) }
            }
            LrSchedulerType::CosineWithMinLr => {
                Curve::Cosine { num_cycles: num_cycles(&mut arguments)?, floor: floor(&mut arguments)? }
            }
            LrSchedulerType::CosineWithRestarts => {
                let num_cycles = arguments.whole("num_cycles", 1..=1_000_000)?.unwrap_or(1);
                Curve::CosineWithRestarts { num_cycles }
            }
            LrSchedulerType::Polynomial => {
                let lr_end = arguments.number("lr_end", RATES)?.unwrap_or(1e-7);
                Curve::Polynomial { lr_end, power: arguments.number("power", CYCLES)?.unwrap_or(1.0) }
            }
            LrSchedulerType::InverseSqrt => {
                Curve::InverseSqrt { timescale: arguments.whole("timescale", STEPS)? }
            }
            LrSchedulerType::WarmupStableDecay => self.stable_decay(&mut arguments)?,
            LrSchedulerType::ReduceLrOnPlateau => self.plateau(&mut arguments)?,
        };
        arguments.finish()?;
        Ok(curve)
    }

    fn stable_decay(&self, arguments: &mut Arguments) -> Result<Curve> {
        let own = self.num_decay_steps;
        let decay_steps = match (own, arguments.whole("num_decay_steps", STEPS)?) {
            (Some(steps), Some(_)) => {
                let problem = "say it once: give num_decay_steps, or put it into lr_scheduler_kwargs";
                return Err(Error::option("num_decay_steps", steps, problem));
            }
            (Some(steps), None) => at_least_1("num_decay_steps", steps).map(|()| steps)?,
            (None, Some(steps)) => steps,
            (None, None) => {
                return Err(Error::option(
                    "lr_scheduler_type",
                    "warmup_stable_decay",
                    "needs num_decay_steps, the updates over which the learning rate falls at the end",
                ));
            }
        };
        Ok(Curve::WarmupStableDecay(StableDecay {
            decay_steps,
            stable_steps: arguments.whole("num_stable_steps", 0..=*STEPS.end())?,
            warmup: arguments.word("warmup_type", &RAMPS)?.unwrap_or(Ramp::Linear),
            decay: arguments.word("decay_type", &RAMPS)?.unwrap_or(Ramp::Cosine),
            min_lr_ratio: arguments.number("min_lr_ratio", 0.0..=1.0)?.unwrap_or(0.0),
            num_cycles: num_cycles(arguments)?,
        }))
    }

    fn plateau(&self, arguments: &mut Arguments) -> Result<Curve> {
        if self.eval_strategy == Strategy::No {
            return Err(without_evaluation("lr_scheduler_type", LrSchedulerType::ReduceLrOnPlateau.name()));
        }
        let (metric, greater_is_better) = self.judged();
        let (relative, reach) = (true, *STEPS.end());
        Ok(Curve::Plateau(Plateau {
            metric,
            greater_is_better: arguments
                .word("mode", &[("min", false), ("max", true)])?
                .unwrap_or(greater_is_better),
            factor: arguments.number("factor", 0.0..=0.999_999)?.unwrap_or(0.1),
            patience: arguments.whole("patience", 0..=reach)?.unwrap_or(10),
            threshold: arguments.number("threshold", RATES)?.unwrap_or(1e-4),
            is_relative: arguments
                .word("threshold_mode", &[("rel", relative), ("abs", !relative)])?
                .unwrap_or(relative),
            cooldown: arguments.whole("cooldown", 0..=reach)?.unwrap_or(0),
            min_lr: arguments.number("min_lr", RATES)?.unwrap_or(0.0),
            epsilon: arguments.number("eps", RATES)?.unwrap_or(1e-8),
        }))
    }

    pub(super) fn warmup(&self) -> Result<Warmup> {
        let warmup = match (self.warmup_steps, self.warmup_ratio) {
            (Some(steps), Some(_)) => {
                return Err(Error::option(
                    "warmup_steps",
                    steps,
                    "say it once: give warmup_steps or warmup_ratio",
                ));
            }
            (None, None) => Warmup::Steps(0),
            (None, Some(ratio)) if (0.0..=1.0).contains(&ratio) => Warmup::Ratio(ratio),
            (None, Some(ratio)) => {
                return Err(Error::option("warmup_ratio", ratio, "must be a fraction from 0 to 1"));
            }
            (Some(steps), None) if (0.0..1.0).contains(&steps) => Warmup::Ratio(steps),
            (Some(steps), None) if steps >= 1.0 && steps.fract() == 0.0 => Warmup::Steps(steps as usize),
            (Some(steps), None) => {
                return Err(Error::option(
                    "warmup_steps",
                    steps,
                    "must be a whole number of updates, or a fraction of the run below 1",
                ));
            }
        };
        let none = matches!(warmup, Warmup::Steps(0) | Warmup::Ratio(0.0));
        match self.lr_scheduler_type {
            LrSchedulerType::Constant | LrSchedulerType::ReduceLrOnPlateau if !none => {
                let (option, value) = match self.warmup_steps {
                    Some(steps) => ("warmup_steps", steps),
                    None => ("warmup_ratio", self.warmup_ratio.unwrap_or_default()),
                };
                let kind = self.lr_scheduler_type.name();
                let problem = match self.lr_scheduler_type {
                    LrSchedulerType::Constant => "; use constant_with_warmup",
                    _ => ", which has no warmup; remove it",
                };
                let problem = format!("has no effect with lr_scheduler_type {kind}{problem}");
                Err(Error::no_effect(option, value, problem))
            }
            LrSchedulerType::ConstantWithWarmup if none => Err(Error::option(
                "lr_scheduler_type",
                "constant_with_warmup",
                "has no warmup; give warmup_steps or warmup_ratio, or use constant",
            )),
            _ => Ok(warmup),
        }
    }
}

fn num_cycles(arguments: &mut Arguments) -> Result<f64> {
    Ok(arguments.number("num_cycles", CYCLES)?.unwrap_or(0.5))
}

fn floor(arguments: &mut Arguments) -> Result<Floor> {
    match (arguments.number("min_lr", RATES)?, arguments.number("min_lr_rate", 0.0..=1.0)?) {
        (Some(min_lr), None) => Ok(Floor::LearningRate(min_lr)),
        (None, Some(rate)) => Ok(Floor::Rate(rate)),
        (Some(min_lr), Some(_)) => {
            let problem = "say it once: give min_lr or min_lr_rate";
            Err(Error::option("lr_scheduler_kwargs", format!("min_lr={min_lr}"), problem))
        }
        (None, None) => Err(Error::option(
            "lr_scheduler_type",
            LrSchedulerType::CosineWithMinLr.name(),
            "needs min_lr or min_lr_rate in lr_scheduler_kwargs",
        )),
    }
}
