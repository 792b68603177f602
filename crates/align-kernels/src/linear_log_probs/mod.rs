//! The language-model head and its log-softmax in one op that never holds the logits of all rows.
//!
//! `[rows, vocab]` is the largest tensor of a training step by far. Here rows go through the head in
//! pieces, forward and backward, and the backward pass turns each piece's logits into their gradient.

mod composed;
mod cpu;
mod wide;

use candle_core::{DType, Result, Tensor, bail};

use crate::{Adapter, Linear, Param, SoftCap, TrainedRows, Weight, record};
use wide::Wide;

/// Statistics of a token's distribution beside the label's log-prob; without a gradient.
#[derive(Clone, Debug)]
pub struct TokenStats {
    /// Entropy of the next-token distribution in nats, `[rows]`.
    pub entropy: Tensor,
    /// 1 where the label is the most likely token, else 0, `[rows]`.
    pub correct: Tensor,
    /// log Σ_v p_v², `[rows]`: 0 where one token is certain, −log(vocab) where all are alike. What WPO
    /// (Zhou et al. 2024, arXiv:2406.11827) compares a token's log-prob with.
    pub log_sum_sq_probs: Tensor,
}

/// The language-model head: a weight `[vocab, width]`, perhaps with an adapter, and what caps the logits.
#[derive(Clone, Debug)]
pub struct Head {
    /// The weight.
    pub weight: Weight,
    /// The adapter of a weight that is not trained, of A and B alone.
    pub adapter: Option<Adapter>,
    /// Rows of a weight that is not trained which are: without an adapter.
    pub trained: Option<TrainedRows>,
    /// The cap, if logits have one.
    pub softcap: Option<SoftCap>,
}

impl Head {
    /// A head without a cap.
    pub fn new(weight: &Param) -> Self {
        Self { weight: Weight::dense(weight), adapter: None, trained: None, softcap: None }
    }

    /// Log-probs of the labels `[rows]` (u32) after the hidden states `[rows, width]`: [`linear_log_probs`].
    ///
    /// # Errors
    /// If the shapes do not fit or a label is outside the vocabulary.
    pub fn log_probs(&self, hidden: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.check(hidden, labels)?;
        let (hidden, head) = (self.widened(hidden)?, Wide::of(self));
        if head.has_cpu_form(&hidden) {
            cpu::log_probs(&hidden, &head, labels)
        } else {
            composed::log_probs(&hidden, &head, labels)
        }
    }

    /// [`Head::log_probs`] with what else the distribution of each row says, from the same logits.
    ///
    /// # Errors
    /// As [`Head::log_probs`].
    pub fn log_probs_with_stats(&self, hidden: &Tensor, labels: &Tensor) -> Result<(Tensor, TokenStats)> {
        self.smoothed_log_probs_with_stats(hidden, labels, 0.0)
    }

    /// Label smoothing (Szegedy et al. 2016, arXiv:1512.00567): [`Head::log_probs_with_stats`] of labels of which the share ε
    /// (`smoothing`, at least 0 and below 1) is divided evenly among the vocabulary: `(1 − ε) log p(label) + ε · mean log p`.
    ///
    /// # Errors
    /// As [`Head::log_probs`]; a share that is none.
    pub fn smoothed_log_probs_with_stats(
        &self,
        hidden: &Tensor,
        labels: &Tensor,
        smoothing: f64,
    ) -> Result<(Tensor, TokenStats)> {
        if !(0.0..1.0).contains(&smoothing) {
            bail!("linear_log_probs: expected label smoothing of at least 0 and below 1, got {smoothing}");
        }
        self.check(hidden, labels)?;
        let (hidden, head) = (self.widened(hidden)?, Wide::of(self));
        if head.has_cpu_form(&hidden) {
            cpu::log_probs_with_stats(&hidden, &head, labels, smoothing)
        } else {
            composed::log_probs_with_stats(&hidden, &head, labels, smoothing)
        }
    }

    /// All logits of the hidden states, `[rows, vocab]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let layer = Linear::of(self.weight.clone(), None)?;
        let layer = self.adapter.iter().try_fold(layer, Linear::with_adapter)?;
        record("logits", [hidden], |tape, [hidden]| {
            let mut logits = tape.linear(&hidden, &layer)?;
            if let Some(trained) = &self.trained {
                trained.check(&self.weight)?;
                let own = tape.linear(&hidden, &Linear::new(trained.values(), None)?)?;
                logits = tape.with_columns(&logits, &own, trained.ids())?;
            }
            match self.softcap {
                None => Ok(logits),
                Some(by) => tape.softcap(&logits, by),
            }
        })
    }

    /// The bytes of logits that a pass over so many rows leaves for its backward pass on the CPU: all of them, or none if they are too
    /// many, which are then computed again piece by piece.
    pub fn kept_bytes(rows: usize, vocab: usize) -> usize {
        Some(rows.saturating_mul(vocab).saturating_mul(4))
            .filter(|bytes| *bytes <= cpu::KEPT_BYTES)
            .unwrap_or(0)
    }

    fn check(&self, hidden: &Tensor, labels: &Tensor) -> Result<()> {
        if let Some(adapter) = &self.adapter {
            adapter.check(&self.weight)?;
            if !adapter.is_bare() {
                bail!("linear_log_probs: expected an adapter of A and B alone");
            }
        }
        self.trained.iter().try_for_each(|trained| trained.check(&self.weight))?;
        let is_tracked = self.weight.param().is_some_and(Param::is_tracked);
        if [self.adapter.is_some(), self.trained.is_some(), is_tracked].into_iter().filter(|it| *it).count()
            > 1
        {
            bail!(
                "linear_log_probs: expected a weight that is trained, or an adapter, or some rows that are"
            );
        }
        let (rows, width) = hidden.dims2()?;
        let (_, expected) = self.weight.shape()?;
        if width != expected || labels.dims() != [rows] || labels.dtype() != DType::U32 || rows == 0 {
            bail!(
                "linear_log_probs: expected hidden [rows, {expected}] and u32 labels [rows], got {:?} and {:?} {:?}",
                hidden.shape(),
                labels.dtype(),
                labels.shape()
            );
        }
        Ok(())
    }
}

/// `log softmax(hidden Wᵀ)[label]` per row: `[rows]`, for `hidden` `[rows, hidden]`, `weight`
/// `[vocab, hidden]` and `labels` `[rows]` (u32).
///
/// # Errors
/// If the shapes do not fit or a label is outside the vocabulary.
pub fn linear_log_probs(hidden: &Tensor, weight: &Param, labels: &Tensor) -> Result<Tensor> {
    Head::new(weight).log_probs(hidden, labels)
}

/// [`linear_log_probs`] with what else the distribution of each row says, from the same logits.
///
/// # Errors
/// As [`linear_log_probs`].
pub fn linear_log_probs_with_stats(
    hidden: &Tensor,
    weight: &Param,
    labels: &Tensor,
) -> Result<(Tensor, TokenStats)> {
    Head::new(weight).log_probs_with_stats(hidden, labels)
}
