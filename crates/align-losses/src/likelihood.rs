//! Maximum likelihood: the log-probability of a label, and the loss of supervised fine-tuning.
//!
//! Values come back per token. The usual reductions, and who takes them:
//!
//! | Reduction | How | Used by |
//! |---|---|---|
//! | mean over the tokens of the window | [`masked_sum`] of each micro-batch, divided by the window's count | SFT (TRL's and ours) |
//! | mean over the tokens at hand | [`masked_mean`] | a single batch; perplexity is its exponential |
//! | sum per sequence | [`masked_sequence_log_probs`] | DPO and its family |
//!
//! Training never materialises logits `[rows, vocab]`; there the label's log-prob comes from a fused op, and
//! [`label_log_probs`] is for those who have logits already.
//!
//! [`masked_sum`]: crate::masked_sum
//! [`masked_mean`]: crate::masked_mean
//! [`masked_sequence_log_probs`]: crate::masked_sequence_log_probs

use candle_core::{D, DType, Result, Tensor, bail};

use crate::checks::at_least_f32;
use crate::numerics::masked;

/// Negative log-likelihood per token: −log π(y_t | x, y_<t) where the mask counts, 0 elsewhere.
///
/// `log_probs` and `mask` have the same shape, any; so has the result, which is not reduced. What is
/// masked out may be infinite or NaN and receives no gradient.
///
/// # Errors
/// If the shapes differ or `log_probs` is not of a floating type.
pub fn nll(log_probs: &Tensor, mask: &Tensor) -> Result<Tensor> {
    masked(log_probs, mask)?.neg()
}

/// log softmax(logits)\[label\]: logits `[.., vocab]` and integer labels `[..]` → `[..]`.
///
/// For a sampling temperature divide the logits by it. f16 and bf16 logits give f32.
///
/// # Errors
/// If the shapes do not fit each other, the labels are not integers, or one is outside the
/// vocabulary (which a GPU may not notice).
pub fn label_log_probs(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let expected = match logits.dims() {
        [rows @ .., vocab] if *vocab > 0 => rows,
        other => bail!("expected logits [.., vocab], got {other:?}"),
    };
    if labels.dims() != expected {
        bail!("expected labels {expected:?} for logits {:?}, got {:?}", logits.dims(), labels.dims());
    }
    if !matches!(labels.dtype(), DType::U32 | DType::I64) {
        bail!("expected integer labels (u32, i64), got {:?}", labels.dtype());
    }
    let logits = at_least_f32("logits", logits)?;
    // The maximum cancels; taken off first, logits of 10⁴ lose nothing. Held constant, since its own
    // backward counts ties twice.
    let largest = logits.detach().max_keepdim(D::Minus1)?;
    let logits = logits.broadcast_sub(&largest)?;
    let index = labels.contiguous()?.unsqueeze(D::Minus1)?;
    let of_labels = logits.gather(&index, D::Minus1)?.squeeze(D::Minus1)?;
    of_labels - logits.exp()?.sum(D::Minus1)?.log()?
}
