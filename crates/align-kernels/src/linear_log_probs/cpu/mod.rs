//! The head on f32 slices in main memory.
//!
//! Logits exist tile by tile. If all of them fit [`KEPT_BYTES`] and there will be a backward pass, the
//! forward pass leaves them to it, which saves one of four matrix products; otherwise the backward pass
//! computes them again, and neither pass holds more than a tile. Both ways give the same bits, and so
//! does any number of threads.

mod passes;
mod rows;
mod sums;
mod tiles;
mod weight;

use std::cell::RefCell;

use candle_core::{Result, Tensor, bail};

use self::passes::Operands;
use self::rows::{Row, Softmax, SoftmaxAndStats, Target};
use self::sums::Sum;
use self::weight::{Columns, Rows};
use super::{TokenStats, Wide};
use crate::cpu::{Slice, slice, tensor};
use crate::{Param, TrainedRows, record};

/// Logits of at most this size are kept for the backward pass: 2097 rows at a vocabulary of 32000.
pub(super) const KEPT_BYTES: usize = 256 << 20;

/// See [`super::Head::log_probs`].
pub(super) fn log_probs(hidden: &Tensor, head: &Wide, labels: &Tensor) -> Result<Tensor> {
    within(KEPT_BYTES, hidden, head, labels)
}

fn within(kept_bytes: usize, hidden: &Tensor, head: &Wide, labels: &Tensor) -> Result<Tensor> {
    let head = Run::new(hidden, head, labels)?;
    let (rows, kept) = head.forward::<Softmax>(kept_bytes, 0.0)?;
    head.record(hidden, rows, kept)
}

/// See [`super::Head::smoothed_log_probs_with_stats`].
pub(super) fn log_probs_with_stats(
    hidden: &Tensor,
    head: &Wide,
    labels: &Tensor,
    smoothing: f64,
) -> Result<(Tensor, TokenStats)> {
    let head = Run::new(hidden, head, labels)?;
    let (rows, kept) = head.forward::<SoftmaxAndStats>(KEPT_BYTES, smoothing)?;
    let per_row = |value: fn(&SoftmaxAndStats) -> f32| tensor(rows.iter().map(value).collect(), rows.len());
    let stats = TokenStats {
        entropy: per_row(SoftmaxAndStats::entropy)?,
        correct: per_row(SoftmaxAndStats::correct)?,
        log_sum_sq_probs: per_row(SoftmaxAndStats::log_sum_sq_probs)?,
    };
    let rows = rows.into_iter().map(|row| row.softmax).collect();
    Ok((head.record(hidden, rows, kept)?, stats))
}

/// The detached operands.
struct Run {
    hidden: Tensor,
    head: Wide,
    labels: Vec<u32>,
    hidden_is_tracked: bool,
    /// Ids of rows that are trained, in order, each with its place among them.
    trained: Vec<(usize, usize)>,
}

impl Run {
    fn new(hidden: &Tensor, head: &Wide, labels: &Tensor) -> Result<Self> {
        let (vocab, _) = head.weight.shape()?;
        let labels = labels.to_vec1::<u32>()?;
        if let Some(label) = labels.iter().find(|&&label| label as usize >= vocab) {
            bail!("linear_log_probs: label {label} is outside the vocabulary of {vocab}");
        }
        let ids = head.rows.iter().flat_map(|rows| rows.ids());
        let mut trained: Vec<_> = ids.enumerate().map(|(place, id)| (*id as usize, place)).collect();
        trained.sort_unstable();
        Ok(Self {
            hidden: hidden.detach().contiguous()?,
            head: head.clone(),
            labels,
            hidden_is_tracked: hidden.track_op(),
            trained,
        })
    }

    fn is_recorded(&self) -> bool {
        self.hidden_is_tracked || self.head.trained().is_some_and(Param::is_tracked)
    }

    fn operands<'a>(
        &'a self,
        hidden: &'a [f32],
        [weight, beside, rows]: [Option<&'a [f32]>; 3],
    ) -> Result<Operands<'a>> {
        let (vocab, width) = self.head.weight.shape()?;
        let precision = self.head.weight.precision();
        let weight = Rows::of(&self.head.weight, weight);
        let weight = Columns::new(weight, [vocab, width], beside.unwrap_or_default())
            .with_rows(&self.trained, rows.unwrap_or_default());
        Ok(Operands::new(hidden, weight, [self.labels.len(), vocab], self.head.softcap, precision))
    }

    /// The elements of the weight, if it is there as numbers, of what is beside it, and of rows in its place.
    fn dense(&self) -> Result<[Option<Slice<'_>>; 3]> {
        let Wide { weight, beside, rows, .. } = &self.head;
        let params = [weight.param(), beside.as_ref(), rows.as_ref().map(TrainedRows::values)];
        let [weight, beside, rows] = params.map(|param| param.map(|param| slice(param.tensor())).transpose());
        Ok([weight?, beside?, rows?])
    }

    /// The rows' sums, and the logits if they are wanted again and take at most `kept_bytes`.
    fn forward<R: Row>(&self, kept_bytes: usize, smoothing: f64) -> Result<(Vec<R>, Option<Vec<f32>>)> {
        let (hidden, dense) = (slice(&self.hidden)?, self.dense()?);
        let operands = self.operands(&hidden, dense.each_ref().map(Option::as_deref))?;
        let keep = self.is_recorded() && operands.logits() * size_of::<f32>() <= kept_bytes;
        let (vocab, _) = self.head.weight.shape()?;
        let row = |&label: &u32| R::new(Target { label, smoothing, vocab });
        let mut rows: Vec<R> = self.labels.iter().map(row).collect();
        let mut logits = Vec::new();
        operands.forward(&mut rows, keep.then_some(&mut logits));
        Ok((rows, keep.then_some(logits)))
    }

    /// Puts the rows' log-probs in the graph.
    fn record(self, hidden: &Tensor, rows: Vec<Softmax>, kept: Option<Vec<f32>>) -> Result<Tensor> {
        let value = tensor(rows.iter().map(Softmax::log_prob).collect(), rows.len())?;
        record("linear_log_probs", [hidden], |tape, [hidden]| {
            let weight = self.head.trained().cloned();
            Ok(tape.push("linear_log_probs", [&hidden], weight.as_ref(), value, move |grad: &Tensor| {
                Ok([self.backward(&rows, kept, grad)?])
            }))
        })
    }

    /// The gradient of the hidden states, if they are tracked; the weight's goes to its buffer.
    fn backward(&self, rows: &[Softmax], kept: Option<Vec<f32>>, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (hidden, dense, grad) = (slice(&self.hidden)?, self.dense()?, slice(&grad)?);
        let operands = self.operands(&hidden, dense.each_ref().map(Option::as_deref))?;
        let d_hidden = RefCell::new(self.hidden_is_tracked.then(|| Vec::with_capacity(hidden.len())));
        let kept = RefCell::new(kept);
        let run = |d_weight: Option<Sum<'_>>| {
            let mut d_hidden = d_hidden.borrow_mut();
            operands.backward(rows, &grad, kept.take(), d_hidden.as_mut().map(Sum::New), d_weight);
        };
        let weight = self.head.trained().and_then(|weight| Some((weight.tensor(), weight.grad_buffer()?)));
        match weight {
            None => run(None),
            Some((weight, buffer)) => buffer.accumulate_in_place(
                weight.shape(),
                || {
                    // Rows here and there are added to what is there; all of them follow one another.
                    if self.head.rows.is_some() {
                        let mut d_rows = vec![0.0; weight.elem_count()];
                        run(Some(Sum::More(&mut d_rows)));
                        return d_rows;
                    }
                    let mut d_weight = Vec::with_capacity(weight.elem_count());
                    run(Some(Sum::New(&mut d_weight)));
                    d_weight
                },
                |d_weight| run(Some(Sum::More(d_weight))),
            )?,
        }
        d_hidden.into_inner().map(|d_hidden| tensor(d_hidden, self.hidden.shape())).transpose()
    }
}

#[cfg(test)]
mod tests;
