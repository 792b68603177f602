//! One parameter update, from a window of micro-batches to new weights.
//!
//! count weights → forward and backward per micro-batch → norm and finite check → clip → learning rate →
//! optimizer. It owns no batches and no loop: `fit` calls it for the offline stages, PPO from its own loop.

mod passes;
mod stragglers;

use std::path::Path;
use std::time::Instant;

use align_files::write_json;
use align_kernels::Params;

use passes::Window;
use stragglers::Stragglers;

use crate::optimizer::{Ask, Question};
use crate::reduction::Reduction;
use crate::schedule::PlateauState;
use crate::{
    Checkpoint, Error, Layout, Metrics, Objective, Optimizer, OptimizerConfig, Ranks, Result, Schedule,
    Shard, Weights,
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
    ranks: Ranks,
    reduction: Reduction,
    stragglers: Stragglers,
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
        let reduction = Reduction::new(&params, optimizer.method, Ranks::default(), Shard::None);
        let optimizer = Optimizer::new(&params, optimizer)?;
        Ok(Self {
            params,
            reduction,
            layout: Layout::default(),
            optimizer,
            plateau: schedule.plateau().map(|_| PlateauState::new(schedule.learning_rate)),
            schedule,
            max_grad_norm,
            step: 0,
            learning_rate_scale: 1.0,
            covered: false,
            ranks: Ranks::default(),
            stragglers: Stragglers::default(),
        })
    }

    /// The same as one of several ranks, each of which makes every update from micro-batches of its own; what is sharded they
    /// divide among themselves.
    ///
    /// # Errors
    /// Shards where weights are not in main memory.
    pub fn on(self, ranks: Ranks, shard: Shard) -> Result<Self> {
        let config = self.optimizer.config();
        let reduction = Reduction::new(&self.params, config.method, ranks.clone(), shard);
        if shard == Shard::None || ranks.is_alone() {
            return Ok(Self { ranks, reduction, ..self });
        }
        if !self.params.iter().all(|(_, param)| param.device().is_cpu()) {
            let problem = "divides what is in main memory; leave it out, or give `--device cpu`";
            return Err(Error::option("shard", shard.name(), problem));
        }
        let optimizer = Optimizer::of(&self.params, config, |name| reduction.own(name), true)?;
        Ok(Self { ranks, reduction, optimizer, ..self })
    }

    /// The same with the layout of its checkpoints, where tensors do not have the names of the parameters.
    #[must_use]
    pub fn with_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// The ranks that make each update together.
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
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

    /// One update from a window of micro-batches: one forward and one backward pass each. Of several ranks each gives the
    /// micro-batches that are its own, which may be none; all get the same update.
    ///
    /// # Errors
    /// What the objective raises; a loss or gradient that is not finite, with its rows; in the first
    /// backward pass, a parameter that got no gradient. The weights are untouched in all these cases.
    pub fn update<O: Objective>(&mut self, objective: &mut O, window: &[O::Batch]) -> Result<Update> {
        let pulse = self.ranks.pulse().clone();
        pulse.during_update(|| self.made(objective, window))
    }

    fn made<O: Objective>(&mut self, objective: &mut O, window: &[O::Batch]) -> Result<Update> {
        self.params.clear_grads();
        self.reduction.clear();
        let counted = self.ranks.each((totals(objective, window), window.len()))?;
        let mut window = Window { batches: window, totals: Weights::default(), rounds: 0 };
        for (weights, batches) in &counted {
            window.totals.merge(weights);
            window.rounds = window.rounds.max(*batches);
        }
        if window.rounds == 0 {
            return Err(Error::NoData);
        }
        let began = Instant::now();
        let passed = self.passes(objective, &window).map(|passed| (passed, began.elapsed().as_secs_f64()));
        let (passed, seconds): (Vec<_>, Vec<_>) = self.ranks.agree(passed)?.into_iter().unzip();
        self.stragglers.observe(&self.ranks, &seconds)?;
        if let Some(found) = passes::first(passed.iter().filter_map(|of_rank| of_rank.as_ref().err())) {
            return Err(self.not_made(found));
        }
        let shares: Vec<_> = passed.into_iter().flatten().collect();
        // In the order of the micro-batches, wherever they were.
        let in_order = (0..window.rounds).flat_map(|round| shares.iter().filter_map(move |of| of.get(round)));
        let (mut loss, mut samples, mut metrics) = (0.0, 0, Metrics::default());
        for share in in_order {
            loss += share.loss;
            samples += share.samples;
            metrics.merge(&share.metrics);
        }

        self.reduction.complete()?;
        let grad_norm = self.reduction.norm(&self.params)?;
        if !grad_norm.is_finite() {
            return Err(self.find_not_finite(objective, &window)?);
        }
        let learning_rate = self.learning_rate_scale * self.rate();
        let (reduction, clip) = (&self.reduction, clip_factor(grad_norm, self.max_grad_norm));
        self.optimizer.step_with(&self.params, |name| reduction.take(name), learning_rate, clip)?;
        self.params.clear_grads();
        self.reduction.spread()?;
        self.step += 1;

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

    /// This rank's answer to whoever saves.
    pub(crate) fn answer(&self, question: &Question) -> Vec<u8> {
        self.optimizer.answer(question)
    }

    /// Writes the states of optimizer and schedule into a checkpoint's directory; `ask` has what other ranks keep of them.
    pub(crate) fn save(&self, dir: &Path, ask: &Ask<'_>) -> Result<()> {
        Checkpoint::save_optimizer(dir, |path| self.optimizer.save_asking(path, ask))?;
        match &self.plateau {
            Some(plateau) => Ok(write_json(dir.join(SCHEDULER), plateau)?),
            None => Ok(()),
        }
    }

    /// The learning rate of the next update, before the stage's scale.
    fn rate(&self) -> f64 {
        self.plateau.as_ref().map_or_else(|| self.schedule.rate(self.step), PlateauState::learning_rate)
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
