//! The seam between the loop and a method: completions and their scores in, updates out.

use std::path::Path;

use align_data::TokenizedTask;
use align_models::Packed;
use align_train::{Metrics, Result, Update, Updater};
use candle_core::Tensor;

use crate::Rollouts;

/// A phase when the method's turn comes: what was sampled, and how it scored.
#[derive(Clone, Copy, Debug)]
pub struct Phase<'a> {
    /// Its number, from 0.
    pub number: usize,
    /// The rollouts of the phase.
    pub rollouts: &'a Rollouts,
    /// The run's prompts, by the rows that the rollouts name.
    pub tasks: &'a [TokenizedTask],
    /// Score of each completion, penalties included; NaN where no reward applied to it.
    pub scores: &'a [f64],
    /// Log-probs of each completion's tokens under the policy as it is now, before the phase's updates, at the sampling
    /// temperature: what ratios are against (TRL's `old_per_token_logps`).
    pub old_log_probs: &'a [Vec<f32>],
    /// Log-probs of each completion's tokens under the reference, at the sampling temperature; empty if the method
    /// [needs none](Method::needs_reference).
    pub reference_log_probs: &'a [Vec<f32>],
}

impl Phase<'_> {
    /// The origin of completion number `completion`: its prompt's `file:line`.
    pub fn origin(&self, completion: usize) -> String {
        self.tasks[self.rollouts.prompt_of(completion).row].task.prompt.origin.to_string()
    }
}

/// The outcome of a method's turn: its updates and metrics.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// Its updates in order, each with what its objective reported. None at all is no error: nothing could be learned.
    pub updates: Vec<Update>,
    /// Metrics of the phase as a whole: `objective/kl`, `reward_std`, …
    pub metrics: Metrics,
}

/// An on-policy method: makes updates of the policy's own completions. PPO, a member of the critic-free family,
/// online DPO.
pub trait Method {
    /// Its name in reports.
    fn name(&self) -> &'static str;

    /// Completions sampled for each prompt.
    fn num_generations(&self) -> usize;

    /// Completions sampled in a phase: a multiple of [`Method::num_generations`].
    fn completions_per_phase(&self) -> usize;

    /// The most samplings of a phase: from the second time on in place of prompts whose completions all score the
    /// same. 1 is no dynamic sampling.
    fn max_num_gen_batches(&self) -> usize {
        1
    }

    /// Most updates made in a phase; what the schedule of the learning rate goes by.
    fn updates_per_phase(&self) -> usize;

    /// Whether the reference's log-probs of the completions are to be computed.
    fn needs_reference(&self) -> bool;

    /// Completions of a micro-batch.
    fn micro_batch_size(&self) -> usize;

    /// Log-probs of a pack's completions `[tokens]` as an update computes them: by the policy under training, at the
    /// method's temperature.
    ///
    /// # Errors
    /// If the model cannot be run.
    fn log_probs(&self, packed: &Packed) -> Result<Tensor>;

    /// Learns from a phase's completions. Of several ranks each has the whole phase, and gives the updater its own
    /// micro-batches of each update.
    ///
    /// # Errors
    /// What [`Updater::update`] raises; the weights are then as they were before that update.
    fn learn(&mut self, phase: &Phase<'_>, updater: &mut Updater) -> Result<Learned>;

    /// The coefficient of the divergence from the reference.
    fn kl_coef(&self) -> f64;

    /// Multiplies that coefficient; one that is 0 stays 0.
    fn raise_kl(&mut self, factor: f64);

    /// Writes state of its own (random streams, controllers) into a directory of a checkpoint that belongs to it.
    /// Trainable parameters are not its business: the run saves those.
    ///
    /// # Errors
    /// If a file cannot be written.
    fn save_state(&self, dir: &Path) -> Result<()>;

    /// Reads back what [`Method::save_state`] wrote.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn restore_state(&mut self, dir: &Path) -> Result<()>;
}
