//! From log-probs of tokens to log-probs of sequences: log π(y|x) = Σ_t log π(y_t | x, y_<t).
//!
//! Two layouts come in. The *packed* one is a flat vector of the tokens that count, each with the number
//! of its sequence; nothing in it is padding. The *padded* one is `[batch, seq]` with a mask (1 = counts),
//! as most other code has it; its log-probs and mask must be shifted against each other by one, because
//! the logits at position t are about the token at t + 1: [`shifted_log_probs`] and [`shift_mask`] do that
//! and nothing else does. Sums are always taken, never means: a loss that wants means divides.

use candle_core::{D, DType, Result, Tensor, bail};

use crate::checks::at_least_f32;
use crate::likelihood::label_log_probs;
use crate::numerics::masked;

/// The sum of each sequence's token log-probs: packed `[tokens]` → `[sequences]`.
///
/// `sequence_ids[i]` is the sequence (below `sequences`) that token `i` belongs to, in any order; a
/// sequence that no token names sums to 0. Differentiable and deterministic: tokens are added in order.
/// The sum is accumulated in f64 (Metal has none and uses f32) and returned in the type of the
/// log-probs: over thousands of tokens a running f32 sum would drift by 10⁻², which β then sees as reward.
///
/// # Errors
/// If `token_log_probs` is not `[tokens]` of a floating type, or an id is missing or not below `sequences`.
pub fn sequence_log_probs(
    token_log_probs: &Tensor,
    sequence_ids: &[u32],
    sequences: usize,
) -> Result<Tensor> {
    let tokens = token_log_probs.dims1()?;
    let log_probs = at_least_f32("token log-probs", token_log_probs)?;
    if sequence_ids.len() != tokens {
        bail!("expected one sequence id per token [{tokens}], got {}", sequence_ids.len());
    }
    if let Some(id) = sequence_ids.iter().find(|&&id| id as usize >= sequences) {
        bail!("expected sequence ids below {sequences}, got {id}");
    }
    let device = log_probs.device();
    let (precise, dtype) = (accumulator(&log_probs), log_probs.dtype());
    let sums = Tensor::zeros(sequences, precise, device)?; // [sequences]
    if tokens == 0 {
        return sums.to_dtype(dtype);
    }
    let ids = Tensor::from_slice(sequence_ids, tokens, device)?; // [tokens]
    sums.index_add(&ids, &log_probs.to_dtype(precise)?.contiguous()?, 0)?.to_dtype(dtype)
}

/// The sum of each row's token log-probs where the mask counts: padded `[batch, seq]` → `[batch]`.
///
/// Both arguments are about the same tokens: shift them first ([`shifted_log_probs`], [`shift_mask`]).
/// What is masked out may be infinite or NaN. Precision as in [`sequence_log_probs`].
///
/// # Errors
/// If the shapes are not both `[batch, seq]`, or the log-probs not of a floating type.
pub fn masked_sequence_log_probs(token_log_probs: &Tensor, mask: &Tensor) -> Result<Tensor> {
    token_log_probs.dims2()?;
    let log_probs = masked(token_log_probs, mask)?;
    log_probs.to_dtype(accumulator(&log_probs))?.sum(D::Minus1)?.to_dtype(log_probs.dtype())
}

/// Log-probs of the tokens of padded rows, each read from the logits one position before it:
/// logits `[batch, seq, vocab]` and token ids `[batch, seq]` → `[batch, seq − 1]`.
///
/// Entry t is log π(token t+1 | tokens ≤ t): the first token has none, the last logits are unused.
///
/// # Errors
/// If the shapes do not fit each other, a row has fewer than 2 tokens, or an id is outside the vocabulary.
pub fn shifted_log_probs(logits: &Tensor, tokens: &Tensor) -> Result<Tensor> {
    let (batch, seq, _vocab) = logits.dims3()?;
    if tokens.dims() != [batch, seq] {
        bail!("expected token ids [{batch}, {seq}] for logits {:?}, got {:?}", logits.dims(), tokens.dims());
    }
    if seq < 2 {
        bail!("expected rows of at least 2 tokens (the first has nothing before it), got {seq}");
    }
    label_log_probs(&logits.narrow(1, 0, seq - 1)?, &tokens.narrow(1, 1, seq - 1)?)
}

/// The mask of [`shifted_log_probs`]: `[batch, seq]` over tokens → `[batch, seq − 1]` over predictions.
///
/// # Errors
/// If the mask is not `[batch, seq]` with seq at least 2.
pub fn shift_mask(mask: &Tensor) -> Result<Tensor> {
    let (batch, seq) = mask.dims2()?;
    if seq < 2 {
        bail!("expected a mask of rows of at least 2 tokens, got [{batch}, {seq}]");
    }
    mask.narrow(1, 1, seq - 1)
}

fn accumulator(values: &Tensor) -> DType {
    if values.device().is_metal() { values.dtype() } else { DType::F64 }
}
