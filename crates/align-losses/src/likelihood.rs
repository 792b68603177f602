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

use crate::checks::{at_least_f32, between_0_and_1, condition, same_shape};
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
    let (logits, log_partition) = shifted(logits)?;
    let index = labels.contiguous()?.unsqueeze(D::Minus1)?;
    let of_labels = logits.gather(&index, D::Minus1)?.squeeze(D::Minus1)?;
    of_labels - log_partition.squeeze(D::Minus1)?
}

/// Dynamic fine-tuning: each token's likelihood loss times its own probability, which is held constant (Wu et al.
/// 2025, arXiv:2508.05629).
///
/// ℓ_t = −sg(p_t)·log p_t where the mask counts, 0 elsewhere; shapes as in [`nll`].
///
/// # Errors
/// As [`nll`].
pub fn dft(log_probs: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let losses = nll(log_probs, mask)?;
    let probabilities = losses.detach().neg()?.exp()?;
    losses * probabilities
}

/// Label smoothing: the target is the label with 1 − ε and any token with ε/vocab (Szegedy et al. 2016,
/// arXiv:1512.00567, section 7; the reduction of transformers' `LabelSmoother` is [`masked_mean`](crate::masked_mean)).
///
/// ℓ_t = −(1 − ε)·log p(label) − ε·mean_v log p(v) where the mask counts, 0 elsewhere
///
/// Logits `[.., vocab]`, integer labels and mask `[..]` → `[..]`. Masked labels may be anything (−100) and masked
/// logits NaN.
///
/// # Errors
/// As [`label_log_probs`], if the mask's shape differs, or ε is outside [0, 1].
pub fn label_smoothed_nll(logits: &Tensor, labels: &Tensor, mask: &Tensor, epsilon: f64) -> Result<Tensor> {
    let epsilon = between_0_and_1("epsilon", epsilon)?;
    same_shape("mask", mask, "the labels", labels)?;
    let counts = condition(mask)?;
    let labels = counts.where_cond(labels, &labels.zeros_like()?)?;
    let rows = counts.unsqueeze(D::Minus1)?.broadcast_as(logits.dims())?;
    let logits = rows.where_cond(logits, &logits.zeros_like()?)?;
    let of_labels = label_log_probs(&logits, &labels)?;
    let of_all = log_softmax(&logits)?.mean(D::Minus1)?;
    masked(&((of_labels * (epsilon - 1.0))? - (of_all * epsilon)?)?, mask)
}

/// −Σ_v p(v)·log p(v), the entropy of softmax(logits): `[.., vocab]` → `[..]`, in nats. Logits may be −∞.
///
/// # Errors
/// If the logits are not `[.., vocab]` of a floating type.
pub fn entropy(logits: &Tensor) -> Result<Tensor> {
    let log_probs = log_softmax(logits)?;
    let probs = log_probs.exp()?;
    // 0·log 0 = 0.
    let possible = probs.gt(0f64)?;
    let log_probs = possible.where_cond(&log_probs, &log_probs.zeros_like()?)?;
    (probs * log_probs)?.sum(D::Minus1)?.neg()
}

/// log Σ_v p(v)², the log of the probability that two samples agree: logits `[.., vocab]` → `[..]`. For
/// [`wpo_weights`](crate::wpo_weights).
///
/// # Errors
/// As [`entropy`].
pub fn log_sum_sq_probs(logits: &Tensor) -> Result<Tensor> {
    (log_softmax(logits)? * 2.0)?.exp()?.sum(D::Minus1)?.log()
}

/// log p(v) of softmax(logits), `[.., vocab]`.
pub(crate) fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let (logits, log_partition) = shifted(logits)?;
    logits.broadcast_sub(&log_partition)
}

/// Logits `[.., vocab]` less their row's maximum, and log Σ_v exp of them `[.., 1]`.
fn shifted(logits: &Tensor) -> Result<(Tensor, Tensor)> {
    if logits.dims().last().is_none_or(|&vocab| vocab == 0) {
        bail!("expected logits [.., vocab], got {:?}", logits.dims());
    }
    let logits = at_least_f32("logits", logits)?;
    // The maximum cancels; taken off first, logits of 10⁴ lose nothing. Held constant, since its own
    // backward counts ties twice.
    let logits = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let log_partition = logits.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok((logits, log_partition))
}
