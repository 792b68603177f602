//! Where a run stands between two updates: everything the next log entry, evaluation and checkpoint
//! depend on that is not in the weights, the optimizer or `trainer_state.json`. Saved in every checkpoint,
//! so that a resumed run logs what the uninterrupted one would have.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::noted::Noted;
use crate::{Metrics, Update};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Epochs finished.
    pub(crate) epochs_done: usize,
    /// Micro-batches done in the current epoch.
    pub(crate) batches_done: usize,
    /// Metrics since the last log entry, and counts since the beginning.
    pub(crate) since_log: Metrics,
    /// Sum of the losses of all updates.
    pub(crate) loss_sum: f64,
    /// Rows trained on.
    pub(crate) samples: usize,
    /// Seconds spent, evaluations and checkpoints included, up to the last checkpoint.
    pub(crate) seconds: f64,
    /// Evaluations since the last improvement.
    pub(crate) evaluations_without_improvement: usize,
    /// The last checkpoint of an evaluation that was the best. A checkpoint cannot note its own.
    pub(crate) best: Option<Noted>,
    /// The run was interrupted when an evaluation was due.
    pub(crate) evaluation_pending: bool,
}

impl Progress {
    /// Takes account of an update made from so many micro-batches.
    pub(crate) fn record(&mut self, update: &Update, batches: usize, ends_epoch: bool, took: Duration) {
        self.since_log.merge(&update.metrics);
        self.since_log.mean("loss", update.loss, 1.0);
        self.since_log.mean("step_time", took.as_secs_f64(), 1.0);
        self.loss_sum += update.loss;
        self.samples += update.samples;
        self.batches_done += batches;
        if ends_epoch {
            self.epochs_done += 1;
            self.batches_done = 0;
        }
    }

    /// Epochs done, with the fraction of the current one.
    pub(crate) fn epoch(&self, batches_per_epoch: usize) -> f64 {
        self.epochs_done as f64 + self.batches_done as f64 / batches_per_epoch.max(1) as f64
    }
}
