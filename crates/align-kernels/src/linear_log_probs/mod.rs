//! The language-model head and its log-softmax in one op that never holds the logits of all rows.
//!
//! `[rows, vocab]` is the largest tensor of a training step by far. Here rows go through the head in
//! pieces, forward and backward, and the backward pass turns each piece's logits into their gradient.

mod composed;
mod cpu;

use candle_core::{DType, Result, Tensor, bail};

use crate::{Param, Tape};

/// What a distribution says beside the label's log-prob; carries no gradient.
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

/// `log softmax(hidden Wᵀ)[label]` per row: `[rows]`, for `hidden` `[rows, hidden]`, `weight`
/// `[vocab, hidden]` and `labels` `[rows]` (u32).
///
/// # Errors
/// If the shapes do not fit or a label is outside the vocabulary.
pub fn linear_log_probs(hidden: &Tensor, weight: &Param, labels: &Tensor) -> Result<Tensor> {
    check(hidden, weight, labels)?;
    if has_cpu_form(hidden, weight) {
        cpu::log_probs(hidden, weight, labels)
    } else {
        composed::linear_log_probs(hidden, weight, labels)
    }
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
    check(hidden, weight, labels)?;
    if has_cpu_form(hidden, weight) {
        cpu::log_probs_with_stats(hidden, weight, labels)
    } else {
        composed::linear_log_probs_with_stats(hidden, weight, labels)
    }
}

fn check(hidden: &Tensor, weight: &Param, labels: &Tensor) -> Result<()> {
    let (rows, width) = hidden.dims2()?;
    let (_, expected) = weight.tensor().dims2()?;
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

fn has_cpu_form(hidden: &Tensor, weight: &Param) -> bool {
    Tape::on_cpu(&[hidden, weight.tensor()]) && weight.tensor().is_contiguous()
}
