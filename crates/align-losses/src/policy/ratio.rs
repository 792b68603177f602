//! Log importance ratios between the policy and the one that sampled: of each token, or of a sequence.
//!
//! They stay logarithms here. A ratio overflows (in f32 from ℓ = 89 on) just where the loss may not need it, so
//! each loss takes the exponential itself, of those elements whose slope it uses.

use candle_core::{Result, Tensor};

use crate::checks::constant_like;
use crate::sequence::Sequences;

/// ℓ_t = log π(y_t|·) − log π_old(y_t|·) of each token that counts, 0 elsewhere: two tensors of
/// [`Sequences::dims`] to one. Gradients flow to the policy; π_old is held constant.
///
/// Where π_old is the policy itself (one update per rollout) pass the same tensor twice: the value is 0 and the
/// gradient that of log π, which makes every surrogate here REINFORCE's.
///
/// # Errors
/// If the shapes are not those of the sequences or the log-probs not of a floating type.
pub fn log_ratios(log_probs: &Tensor, old_log_probs: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    let log_probs = sequences.counted(log_probs)?;
    let old_log_probs = sequences.counted(old_log_probs)?;
    &log_probs - constant_like("the sampling policy's log-probs", &old_log_probs, &log_probs)?
}

/// A sequence's log-ratio per token: log s = (1/|y|)·Σ_t ℓ_t, `[sequences]` (Zheng et al. 2025, GSPO,
/// arXiv:2507.18071, eq. 7). The length normalisation keeps long answers within the same clip range. An empty
/// sequence has 0.
///
/// # Errors
/// If the log-ratios are not of the sequences' tokens.
pub fn sequence_log_ratios(log_ratios: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    sequences.means(log_ratios)
}

/// The sequence's log-ratio in value, each token's own in gradient: sg(log s) + ℓ_t − sg(ℓ_t), of
/// [`Sequences::dims`] (GSPO-token, arXiv:2507.18071, eq. 14; sg holds constant). For advantages per token.
///
/// # Errors
/// As [`sequence_log_ratios`].
pub fn sequence_token_log_ratios(log_ratios: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    let of_sequence = sequences.spread(&sequences.means(&log_ratios.detach())?)?;
    let log_ratios = sequences.counted(log_ratios)?;
    of_sequence + (&log_ratios - log_ratios.detach())?
}
