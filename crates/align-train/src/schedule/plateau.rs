//! A learning rate that falls when evaluations get no better: `torch.optim.lr_scheduler.ReduceLROnPlateau`.

use serde::{Deserialize, Serialize};

use crate::{Metrics, Result, selection};

/// When the learning rate is lowered, and by how much. Names and defaults are those of torch.
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    /// The metric that is watched, without `eval_`.
    pub metric: String,
    /// Whether more of it is better (`mode` max).
    pub greater_is_better: bool,
    /// What the learning rate is multiplied by.
    pub factor: f64,
    /// Evaluations without improvement that are let pass.
    pub patience: usize,
    /// How much better counts as an improvement.
    pub threshold: f64,
    /// Whether the threshold is a share of the best value (`threshold_mode` rel).
    pub is_relative: bool,
    /// Evaluations after a lowering that do not count.
    pub cooldown: usize,
    /// The least learning rate.
    pub min_lr: f64,
    /// A change that is not larger is not made.
    pub epsilon: f64,
}

/// What has been seen so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlateauState {
    learning_rate: f64,
    best: Option<f64>,
    evaluations_without_improvement: usize,
    cooldown: usize,
}

impl PlateauState {
    pub(crate) fn new(learning_rate: f64) -> Self {
        Self { learning_rate, best: None, evaluations_without_improvement: 0, cooldown: 0 }
    }

    pub(crate) fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    pub(crate) fn evaluated(&mut self, plateau: &Plateau, metrics: &Metrics) -> Result<()> {
        self.judge(plateau, selection::value(&plateau.metric, metrics)?);
        Ok(())
    }

    fn judge(&mut self, plateau: &Plateau, value: f64) {
        if plateau.is_better(value, self.best) {
            self.best = Some(value);
            self.evaluations_without_improvement = 0;
        } else {
            self.evaluations_without_improvement += 1;
        }
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.evaluations_without_improvement = 0;
        }
        if self.evaluations_without_improvement > plateau.patience {
            let lower = (self.learning_rate * plateau.factor).max(plateau.min_lr);
            if self.learning_rate - lower > plateau.epsilon {
                tracing::info!("no better evaluation: the learning rate falls to {lower:e}");
                self.learning_rate = lower;
            }
            self.cooldown = plateau.cooldown;
            self.evaluations_without_improvement = 0;
        }
    }
}

impl Plateau {
    /// NaN is better than nothing, not even than no evaluation at all.
    fn is_better(&self, value: f64, best: Option<f64>) -> bool {
        let Some(best) = best else { return !value.is_nan() };
        match (self.greater_is_better, self.is_relative) {
            (false, true) => value < best * (1.0 - self.threshold),
            (false, false) => value < best - self.threshold,
            (true, true) => value > best * (1.0 + self.threshold),
            (true, false) => value > best + self.threshold,
        }
    }
}
