//! The seam between the engine and a stage: what is minimised, and where micro-batches come from.

use std::path::Path;

use candle_core::{DType, Tensor};
use serde_json::Value;

use crate::{Metrics, Result, Stop, Update, Weights};

/// The objective of a stage: what it minimises.
///
/// Gradients must reach [`align_kernels::Param::grad_buffer`] of every trainable parameter in the
/// backward pass of the loss; candle's own gradient store is dropped unread.
pub trait Objective {
    /// A micro-batch.
    type Batch;

    /// The amount of each loss term in the micro-batch (pairs, tokens): counted, not computed.
    fn weights(&self, batch: &Self::Batch) -> Weights;

    /// The micro-batch's share of the window's loss: each term's sum over the micro-batch divided by the
    /// term's amount in `totals`, the weights of the whole window.
    ///
    /// # Errors
    /// Whatever keeps the loss from being computed. A loss that is not finite is no error here: the
    /// engine finds it and names the rows.
    fn loss<'a>(&'a self, batch: &'a Self::Batch, totals: &Weights) -> Result<StepLoss<'a>>;

    /// The rows in the micro-batch, as a person would look them up: `preferences.jsonl:17`. They are
    /// counted as samples, and named when the loss or a gradient is not finite.
    fn rows(&self, batch: &Self::Batch) -> Vec<String>;

    /// Takes the part of a rank that has no micro-batch left in what [`Objective::loss`] exchanges with the other ranks, each of
    /// which has one more. Most losses exchange nothing.
    ///
    /// # Errors
    /// A rank that failed or is gone.
    fn pass(&self) -> Result<()> {
        Ok(())
    }

    /// Called after every update: for state that moves with training, such as a running mean or a
    /// reference model that follows, and for watching what was reported.
    ///
    /// # Errors
    /// Whatever should stop the run.
    fn after_update(&mut self, _update: &Update) -> Result<()> {
        Ok(())
    }

    /// Writes state of its own (none by default) into the directory, which belongs to it and is part of
    /// the checkpoint.
    ///
    /// # Errors
    /// If a file cannot be written.
    fn save_state(&self, _dir: &Path) -> Result<()> {
        Ok(())
    }

    /// Reads back what [`Objective::save_state`] wrote. Not called if it wrote nothing.
    ///
    /// # Errors
    /// If the state cannot be read.
    fn restore_state(&mut self, _dir: &Path) -> Result<()> {
        Ok(())
    }
}

/// One micro-batch's share of the window's loss, and what it will report.
///
/// Reading a number from a device waits for all that was asked of it before. So metrics are read when the backward
/// passes of the whole window have been asked for, and computed only then.
pub struct StepLoss<'a> {
    /// Scalar. The sum over a window's micro-batches is the window's loss.
    pub loss: Tensor,
    metrics: Later<'a>,
}

/// Metrics that have not been read yet.
type Later<'a> = Box<dyn FnOnce() -> Result<Metrics> + 'a>;

impl<'a> StepLoss<'a> {
    /// A loss, and how to read what is reported beside it: values under TRL's names, the loss itself not among them.
    /// What `metrics` holds of the graph lives until the end of the window, with all activations behind it: give it
    /// detached tensors.
    pub fn new(loss: Tensor, metrics: impl FnOnce() -> Result<Metrics> + 'a) -> Self {
        Self { loss, metrics: Box::new(metrics) }
    }

    /// The loss and the metrics as numbers.
    ///
    /// # Errors
    /// If they cannot be computed or read.
    pub fn read(self) -> Result<(f64, Metrics)> {
        Ok((scalar(&self.loss)?, (self.metrics)()?))
    }

    /// The same without the graph of the loss.
    pub(crate) fn detach(self) -> Self {
        Self { loss: self.loss.detach(), ..self }
    }
}

/// A loss beside which nothing is reported.
impl From<Tensor> for StepLoss<'_> {
    fn from(loss: Tensor) -> Self {
        Self::new(loss, || Ok(Metrics::default()))
    }
}

/// The value of a scalar tensor. Via f32 because not every device has f64.
fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(match tensor.dtype() {
        DType::F64 => tensor.to_scalar::<f64>()?,
        _ => f64::from(tensor.to_dtype(DType::F32)?.to_scalar::<f32>()?),
    })
}

/// The place that a source of batches has reached: JSON of its own, saved in every checkpoint.
pub type Cursor = Value;

/// The source of micro-batches.
pub trait Batches {
    /// A micro-batch.
    type Batch;

    /// The next micro-batch; none at the end of an epoch, after which the next call starts another.
    ///
    /// # Errors
    /// If a batch cannot be made.
    fn next(&mut self) -> Result<Option<Self::Batch>>;

    /// Goes past the next micro-batch, which is another rank's, as [`Batches::next`] would; false at the end of an epoch.
    ///
    /// # Errors
    /// As [`Batches::next`].
    fn pass(&mut self) -> Result<bool> {
        Ok(self.next()?.is_some())
    }

    /// Micro-batches in an epoch. Where a token budget makes it vary, the number of the first: it fixes the number
    /// of steps, and the fraction of an epoch that is shown.
    ///
    /// # Errors
    /// If it cannot be known.
    fn batches_per_epoch(&mut self) -> Result<usize>;

    /// The place where the next call of [`Batches::next`] reads, with the state of every random stream behind the
    /// order.
    fn cursor(&self) -> Cursor;

    /// Goes back (or on) to a cursor.
    ///
    /// # Errors
    /// If the cursor is not one of this source.
    fn seek(&mut self, cursor: &Cursor) -> Result<()>;
}

/// The measurement that is made every `eval_steps`.
pub trait Evaluate {
    /// Measures the model as it is after `step` updates, unless `stop` asks meanwhile. Names carry no prefix: the engine adds
    /// `eval_`. Of several ranks all are asked, and those of the first count.
    ///
    /// For a resumed run to equal one that never stopped, the result may depend on the weights and the
    /// step only: random streams are seeded by the step, not carried on.
    ///
    /// # Errors
    /// Whatever keeps the model from being measured; [`crate::Error::Interrupted`] once `stop` asks.
    fn evaluate(&mut self, step: usize, stop: &Stop) -> Result<Metrics>;

    /// Measures the same over a few rows, for the names of what is measured; all of them by default.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    fn sample(&mut self, stop: &Stop) -> Result<Metrics> {
        self.evaluate(0, stop)
    }
}
