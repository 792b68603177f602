//! The language-model head and its log-softmax in one op that never holds the logits of all rows.
//!
//! `[rows, vocab]` is the largest tensor of a training step by far. Here rows go through the head in
//! pieces, forward and backward, and the backward pass turns each piece's logits into their gradient.

mod composed;
mod cpu;

use candle_core::{DType, Result, Tensor, bail};

use crate::{Linear, Param, SoftCap, Tape, Weight, record};

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

/// The language-model head: a weight `[vocab, width]`, and what caps the logits.
#[derive(Clone, Debug)]
pub struct Head {
    /// The weight.
    pub weight: Weight,
    /// The cap, if logits have one.
    pub softcap: Option<SoftCap>,
}

impl Head {
    /// A head without a cap.
    pub fn new(weight: &Param) -> Self {
        Self { weight: Weight::Dense(weight.clone()), softcap: None }
    }

    /// Log-probs of the labels `[rows]` (u32) after the hidden states `[rows, width]`: [`linear_log_probs`].
    ///
    /// # Errors
    /// If the shapes do not fit or a label is outside the vocabulary.
    pub fn log_probs(&self, hidden: &Tensor, labels: &Tensor) -> Result<Tensor> {
        self.check(hidden, labels)?;
        if self.has_cpu_form(hidden) {
            cpu::log_probs(hidden, self, labels)
        } else {
            composed::log_probs(hidden, self, labels)
        }
    }

    /// [`Head::log_probs`] with what else the distribution of each row says, from the same logits.
    ///
    /// # Errors
    /// As [`Head::log_probs`].
    pub fn log_probs_with_stats(&self, hidden: &Tensor, labels: &Tensor) -> Result<(Tensor, TokenStats)> {
        self.check(hidden, labels)?;
        if self.has_cpu_form(hidden) {
            cpu::log_probs_with_stats(hidden, self, labels)
        } else {
            composed::log_probs_with_stats(hidden, self, labels)
        }
    }

    /// All logits of the hidden states, `[rows, vocab]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn logits(&self, hidden: &Tensor) -> Result<Tensor> {
        let layer = Linear::of(self.weight.clone(), None)?;
        record("logits", [hidden], |tape, [hidden]| {
            let logits = tape.linear(&hidden, &layer)?;
            match self.softcap {
                None => Ok(logits),
                Some(by) => tape.softcap(&logits, by),
            }
        })
    }

    fn check(&self, hidden: &Tensor, labels: &Tensor) -> Result<()> {
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

    fn has_cpu_form(&self, hidden: &Tensor) -> bool {
        match &self.weight {
            Weight::Dense(weight) => {
                Tape::on_cpu(&[hidden, weight.tensor()]) && weight.tensor().is_contiguous()
            }
            Weight::Blocks(_) => Tape::on_cpu(&[hidden]),
        }
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
