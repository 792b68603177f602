//! One parameter update, from a window of micro-batches to new weights.
//!
//! count weights → forward and backward per micro-batch → norm and finite check → clip → learning rate →
//! optimizer. It owns no batches and no loop: `fit` calls it for the offline stages, PPO from its own loop.

use std::path::Path;

use align_files::write_json;
use align_kernels::Params;

use crate::schedule::PlateauState;
use crate::{
    Checkpoint, Error, Layout, Metrics, Objective, Optimizer, OptimizerConfig, Result, Schedule, StepLoss,
    Weights, gradients,
};

/// The state of a schedule in a checkpoint.
const SCHEDULER: &str = "scheduler.json";

/// The updater: makes parameter updates and holds what they need: parameters, optimizer state, schedule, step.
pub struct Updater {
    params: Params,
    layout: Layout,
    optimizer: Optimizer,
    schedule: Schedule,
    /// Of a schedule that goes by evaluations.
    plateau: Option<PlateauState>,
    max_grad_norm: Option<f64>,
    step: usize,
    learning_rate_scale: f64,
    covered: bool,
}

/// An update that was made, and its figures.
#[derive(Clone, Debug)]
pub struct Update {
    /// The updates made so far, this one included.
    pub step: usize,
    /// The window's loss before the update.
    pub loss: f64,
    /// The L2 norm of all gradients, before clipping.
    pub grad_norm: f64,
    /// The learning rate that was used.
    pub learning_rate: f64,
    /// Rows in the window.
    pub samples: usize,
    /// The objective's metrics, over the window.
    pub metrics: Metrics,
}

impl Updater {
    /// An updater of the tracked ones among `params`; views and frozen parameters are left alone.
    /// Gradients are clipped to a global norm of `max_grad_norm` if there is one.
    ///
    /// # Errors
    /// If no parameter is tracked, or one is not f32; what [`Optimizer::new`] refuses.
    pub fn new(
        params: &Params,
        optimizer: OptimizerConfig,
        schedule: Schedule,
        max_grad_norm: Option<f64>,
    ) -> Result<Self> {
        let params = params.trained();
        if params.is_empty() {
            return Err(candle_core::Error::Msg("there is no parameter to train".into()).into());
        }
        let optimizer = Optimizer::new(&params, optimizer)?;
        Ok(Self {
            params,
            layout: Layout::default(),
            optimizer,
            plateau: schedule.plateau().map(|_| PlateauState::new(schedule.learning_rate)),
            schedule,
            max_grad_norm,
            step: 0,
            learning_rate_scale: 1.0,
            covered: false,
        })
    }

    /// The same with the layout of its checkpoints, where tensors do not have the names of the parameters.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Updates made so far.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Updates that the schedule is made for.
    pub fn total_steps(&self) -> usize {
        self.schedule.total_steps
    }

    /// The parameters that are updated.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// One update from a window of micro-batches: one forward and one backward pass each.
    ///
    /// # Errors
    /// What the objective raises; a loss or gradient that is not finite, with its rows; in the first
    /// backward pass, a parameter that got no gradient. The weights are untouched in all these cases.
    pub fn update<O: Objective>(&mut self, objective: &mut O, window: &[O::Batch]) -> Result<Update> {
        if window.is_empty() {
            return Err(Error::NoData);
        }
        self.params.clear_grads();
        let totals = totals(objective, window);
        let mut shares = Vec::with_capacity(window.len());
        for (number, batch) in window.iter().enumerate() {
            shares.push(self.accumulate(objective, batch, &totals, number)?);
        }
        let mut metrics = Metrics::default();
        let mut loss = 0.0;
        for (share, batch) in shares.into_iter().zip(window) {
            let (share, of_batch) = share.read()?;
            if !share.is_finite() {
                return Err(self.not_finite(objective, batch, format!("the loss is {share}")));
            }
            loss += share;
            metrics.merge(&of_batch);
        }

        let grad_norm = gradients::global_norm(&self.params)?;
        if !grad_norm.is_finite() {
            return Err(self.find_not_finite(objective, window, &totals)?);
        }
        let learning_rate = self.learning_rate_scale * self.rate();
        self.optimizer.step(&self.params, learning_rate, clip_factor(grad_norm, self.max_grad_norm))?;
        self.params.clear_grads();
        self.step += 1;

        let samples = window.iter().map(|batch| objective.rows(batch).len()).sum();
        let update = Update { step: self.step, loss, grad_norm, learning_rate, samples, metrics };
        objective.after_update(&update)?;
        Ok(update)
    }

    /// Goes on from a checkpoint: weights, the optimizer's state, a schedule's that has any, and step.
    ///
    /// # Errors
    /// If the checkpoint misses one of the parameters or has it in another shape, or is of another optimizer.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.load_weights(checkpoint)?;
        self.optimizer.load(&self.params, &checkpoint.optimizer_file()?)?;
        if let Some(plateau) = &mut self.plateau {
            *plateau = checkpoint.read_json(SCHEDULER)?;
        }
        self.step = checkpoint.step();
        Ok(())
    }

    /// The factor of the schedule's learning rates: 1, unless a stage has changed it.
    pub fn learning_rate_scale(&self) -> f64 {
        self.learning_rate_scale
    }

    /// Multiplies the schedule's learning rates from now on by `scale` in all. It is the stage's to save and restore.
    pub fn set_learning_rate_scale(&mut self, scale: f64) {
        self.learning_rate_scale = scale;
    }

    /// Takes an evaluation into account: a schedule that goes by them may lower its learning rate.
    ///
    /// # Errors
    /// If the metric that it goes by was not measured.
    pub fn evaluated(&mut self, metrics: &Metrics) -> Result<()> {
        match (self.schedule.plateau(), &mut self.plateau) {
            (Some(plateau), Some(state)) => state.evaluated(plateau, metrics),
            _ => Ok(()),
        }
    }

    /// The bytes of the optimizer's state.
    pub fn optimizer_bytes(&self) -> usize {
        self.optimizer.bytes()
    }

    /// Takes weights and the optimizer's state back to those of a checkpoint, while steps and schedule go on.
    ///
    /// # Errors
    /// As [`Updater::restore`].
    pub fn roll_back(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.load_weights(checkpoint)?;
        self.optimizer.load(&self.params, &checkpoint.optimizer_file()?)
    }

    /// Overwrites the weights, and only them, with those of a checkpoint.
    ///
    /// # Errors
    /// If the checkpoint misses one of the parameters or has it in another shape.
    pub fn load_weights(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint.load_weights(&self.params, &self.layout)
    }

    /// Writes the states of optimizer and schedule into a checkpoint's directory.
    pub(crate) fn save(&self, dir: &Path) -> Result<()> {
        Checkpoint::save_optimizer(dir, |path| self.optimizer.save(path))?;
        match &self.plateau {
            Some(plateau) => Ok(write_json(dir.join(SCHEDULER), plateau)?),
            None => Ok(()),
        }
    }

    /// The learning rate of the next update, before the stage's scale.
    fn rate(&self) -> f64 {
        self.plateau.as_ref().map_or_else(|| self.schedule.rate(self.step), PlateauState::learning_rate)
    }

    /// Forward and backward of one micro-batch; its share of the loss, not yet read. The graph and candle's
    /// gradient store hold all activations, so both are gone when this returns.
    fn accumulate<'a, O: Objective>(
        &mut self,
        objective: &'a O,
        batch: &'a O::Batch,
        totals: &Weights,
        number: usize,
    ) -> Result<StepLoss<'a>> {
        // Of the update and the micro-batch, so that a resumed run draws what one that was never stopped draws.
        self.params.noise().begin((self.step as u64) << 32 | number as u64);
        let passed = objective.loss(batch, totals).and_then(|share| {
            drop(share.loss.backward()?);
            Ok(share)
        });
        self.params.noise().end();
        let share = passed?;
        if !self.covered {
            gradients::check_coverage(&self.params)?;
            self.covered = true;
        }
        Ok(share.detach())
    }

    /// Which micro-batch made the gradients not finite: each alone again, from the same weights.
    fn find_not_finite<O: Objective>(
        &mut self,
        objective: &O,
        window: &[O::Batch],
        totals: &Weights,
    ) -> Result<Error> {
        for (number, batch) in window.iter().enumerate() {
            self.params.clear_grads();
            self.accumulate(objective, batch, totals, number)?;
            if let Some(names) = gradients::not_finite(&self.params)? {
                return Ok(self.not_finite(
                    objective,
                    batch,
                    format!("the gradient of {names} is not finite"),
                ));
            }
        }
        let rows = window.iter().flat_map(|batch| objective.rows(batch)).collect::<Vec<_>>().join(", ");
        let what = "the sum of the window's gradients is not finite".to_owned();
        Ok(Error::NotFinite { step: self.step + 1, what, rows })
    }

    fn not_finite<O: Objective>(&self, objective: &O, batch: &O::Batch, what: String) -> Error {
        Error::NotFinite { step: self.step + 1, what, rows: objective.rows(batch).join(", ") }
    }
}

/// The amounts of each loss term in all the micro-batches together.
pub(crate) fn totals<O: Objective>(objective: &O, window: &[O::Batch]) -> Weights {
    let mut totals = Weights::default();
    window.iter().for_each(|batch| totals.merge(&objective.weights(batch)));
    totals
}

/// What gradients are multiplied by. The 1e-6 is torch's `clip_grad_norm_`.
fn clip_factor(norm: f64, max_norm: Option<f64>) -> f64 {
    max_norm.map_or(1.0, |max_norm| (max_norm / (norm + 1e-6)).min(1.0))
}
