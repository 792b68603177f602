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
use std::sync::Mutex;

use candle_core::{Result, Tensor, bail};

use self::passes::Operands;
use self::rows::{Row, Softmax, SoftmaxAndStats};
use self::sums::Sum;
use self::weight::Rows;
use super::{Head, TokenStats};
use crate::cpu::{Slice, slice, tensor};
use crate::{Param, record};

/// Logits of at most this size are kept for the backward pass: 2097 rows at a vocabulary of 32000.
const KEPT_BYTES: usize = 256 << 20;

/// See [`Head::log_probs`].
pub(super) fn log_probs(hidden: &Tensor, head: &Head, labels: &Tensor) -> Result<Tensor> {
    within(KEPT_BYTES, hidden, head, labels)
}

fn within(kept_bytes: usize, hidden: &Tensor, head: &Head, labels: &Tensor) -> Result<Tensor> {
    let head = Run::new(hidden, head, labels)?;
    let (rows, kept) = head.forward::<Softmax>(kept_bytes)?;
    head.record(hidden, rows, kept)
}

/// See [`Head::log_probs_with_stats`].
pub(super) fn log_probs_with_stats(
    hidden: &Tensor,
    head: &Head,
    labels: &Tensor,
) -> Result<(Tensor, TokenStats)> {
    let head = Run::new(hidden, head, labels)?;
    let (rows, kept) = head.forward::<SoftmaxAndStats>(KEPT_BYTES)?;
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
    head: Head,
    labels: Vec<u32>,
    hidden_is_tracked: bool,
}

impl Run {
    fn new(hidden: &Tensor, head: &Head, labels: &Tensor) -> Result<Self> {
        let (vocab, _) = head.weight.shape()?;
        let labels = labels.to_vec1::<u32>()?;
        if let Some(label) = labels.iter().find(|&&label| label as usize >= vocab) {
            bail!("linear_log_probs: label {label} is outside the vocabulary of {vocab}");
        }
        Ok(Self {
            hidden: hidden.detach().contiguous()?,
            head: head.clone(),
            labels,
            hidden_is_tracked: hidden.track_op(),
        })
    }

    fn is_recorded(&self) -> bool {
        self.hidden_is_tracked || self.head.weight.param().is_some_and(Param::is_tracked)
    }

    fn operands<'a>(&self, hidden: &'a [f32], weight: Rows<'a>) -> Result<Operands<'a>> {
        let (vocab, width) = self.head.weight.shape()?;
        Ok(Operands::new(hidden, weight, [self.labels.len(), vocab, width], self.head.softcap))
    }

    /// The weight's elements, if it is there as numbers.
    fn dense(&self) -> Result<Option<Slice<'_>>> {
        self.head.weight.param().map(|weight| slice(weight.tensor())).transpose()
    }

    /// The rows' sums, and the logits if they are wanted again and take at most `kept_bytes`.
    fn forward<R: Row>(&self, kept_bytes: usize) -> Result<(Vec<R>, Option<Vec<f32>>)> {
        let (hidden, dense) = (slice(&self.hidden)?, self.dense()?);
        let operands = self.operands(&hidden, Rows::of(&self.head.weight, dense.as_deref()))?;
        let keep = self.is_recorded() && operands.logits() * size_of::<f32>() <= kept_bytes;
        let mut rows: Vec<R> = self.labels.iter().map(|&label| R::new(label)).collect();
        let mut logits = Vec::new();
        operands.forward(&mut rows, keep.then_some(&mut logits));
        Ok((rows, keep.then_some(logits)))
    }

    /// Puts the rows' log-probs in the graph.
    fn record(self, hidden: &Tensor, rows: Vec<Softmax>, kept: Option<Vec<f32>>) -> Result<Tensor> {
        let value = tensor(rows.iter().map(Softmax::log_prob).collect(), rows.len())?;
        let kept = Mutex::new(kept);
        record("linear_log_probs", [hidden], |tape, [hidden]| {
            let weight = self.head.weight.param().cloned();
            Ok(tape.push("linear_log_probs", [&hidden], weight.as_ref(), value, move |grad: &Tensor| {
                // The first backward pass overwrites what was kept; a second one computes it again.
                let kept = kept.lock().expect("no holder of this lock can panic").take();
                Ok([self.backward(&rows, kept, grad)?])
            }))
        })
    }

    /// The gradient of the hidden states, if they are tracked; the weight's goes to its buffer.
    fn backward(&self, rows: &[Softmax], kept: Option<Vec<f32>>, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (hidden, dense, grad) = (slice(&self.hidden)?, self.dense()?, slice(&grad)?);
        let operands = self.operands(&hidden, Rows::of(&self.head.weight, dense.as_deref()))?;
        let d_hidden = RefCell::new(self.hidden_is_tracked.then(|| Vec::with_capacity(hidden.len())));
        let kept = RefCell::new(kept);
        let run = |d_weight: Option<Sum<'_>>| {
            let mut d_hidden = d_hidden.borrow_mut();
            operands.backward(rows, &grad, kept.take(), d_hidden.as_mut().map(Sum::New), d_weight);
        };
        let weight =
            self.head.weight.param().and_then(|weight| Some((weight.tensor(), weight.grad_buffer()?)));
        match weight {
            None => run(None),
            Some((weight, buffer)) => buffer.accumulate_in_place(
                weight.shape(),
                || {
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
