//! Methods that weigh tokens before they are summed, or answers by their tokens.

use candle_core::{DType, Result, Tensor, bail};

use crate::Sequences;
use crate::checks::{between_0_and_1, same_shape};

/// Weighted preference optimization: how much an answer looks like one the policy would write (Zhou et al. 2024,
/// arXiv:2406.11827, eq. 2, aligned by what the policy gives its own samples).
///
/// w = exp(mean_t(log π(y_t) − log Σ_v π(v)²)), over the answer's tokens
///
/// Token log-probs and [`log_sum_sq_probs`](crate::log_sum_sq_probs) of the sequences' tokens → `[sequences]`,
/// detached. A pair's loss is multiplied by w(y_w)·w(y_l).
///
/// # Errors
/// If the shapes are not the sequences'.
pub fn wpo_weights(
    token_log_probs: &Tensor,
    log_sum_sq_probs: &Tensor,
    sequences: &Sequences,
) -> Result<Tensor> {
    same_shape("log_sum_sq_probs", log_sum_sq_probs, "token_log_probs", token_log_probs)?;
    let log_probs = sequences.means(&token_log_probs.detach())?;
    (log_probs - sequences.means(&log_sum_sq_probs.detach())?)?.exp()
}

/// LD-DPO's sequence log-probs: of the longer answer's tokens, those beyond the length of the shorter count by α
/// (Liu et al. 2024, arXiv:2409.06411).
///
/// Token log-probs → `[sequences]`. `shared[s]` is min(|y_w|, |y_l|) of the pair that sequence s belongs to. α = 1
/// gives the plain sums, α = 0 leaves the excess out. Take the reference's the same way.
///
/// # Errors
/// If the log-probs do not have the sequences' shape, `shared` not one length per sequence, or α is outside [0, 1].
pub fn ld_log_probs(
    token_log_probs: &Tensor,
    sequences: &Sequences,
    shared: &[usize],
    alpha: f64,
) -> Result<Tensor> {
    let alpha = between_0_and_1("alpha", alpha)?;
    if shared.len() != sequences.len() {
        bail!("expected one shared length per sequence [{}], got {}", sequences.len(), shared.len());
    }
    let log_probs = sequences.counted(token_log_probs)?;
    let shared: Vec<u32> = shared.iter().map(|&length| u32::try_from(length).unwrap_or(u32::MAX)).collect();
    let shared = sequences.spread(&Tensor::new(shared, log_probs.device())?)?;
    let within = sequences.places()?.lt(&shared)?.to_dtype(DType::F64)?;
    // 1 within the shared length, α beyond.
    let weights = within.affine(1.0 - alpha, alpha)?.to_dtype(log_probs.dtype())?;
    sequences.sums(&(log_probs * weights)?)
}
