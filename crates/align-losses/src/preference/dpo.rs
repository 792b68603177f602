//! Direct preference optimization and its nearest relatives: a classifier on β·h.

use candle_core::{Result, Tensor, bail};

use super::{LogRatios, PairLengths};
use crate::checks::{finite, positive};
use crate::numerics::{log_sigmoid, relu};

/// Direct preference optimization (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).
///
/// ℓ = −log σ(β·h)
///
/// Returns `[pairs]`. A larger β keeps the policy closer to the reference.
///
/// # Errors
/// If β is not a positive number.
pub fn dpo(ratios: &LogRatios, beta: f64) -> Result<Tensor> {
    log_sigmoid(&scaled(ratios, beta)?)?.neg()
}

/// Conservative DPO: each label is believed wrong with probability ε (Mitchell 2023, "A note on DPO with
/// noisy preferences & relationship to IPO", eq. 3; TRL 0.x's `sigmoid` with `label_smoothing`).
///
/// ℓ = −(1 − ε)·log σ(β·h) − ε·log σ(−β·h)
///
/// Returns `[pairs]`. Minimal at σ(β·h) = 1 − ε, so the margin is not driven to infinity.
///
/// TRL 1.x accepts `label_smoothing` with its `sigmoid` and ignores it: a run of it with ε > 0 is plain [`dpo`].
///
/// # Errors
/// As [`dpo`], and if `label_smoothing` (ε) is outside [0, 0.5): from one half on the labels say nothing,
/// or the opposite.
pub fn cdpo(ratios: &LogRatios, beta: f64, label_smoothing: f64) -> Result<Tensor> {
    smoothed(&scaled(ratios, beta)?, label_smoothing)
}

/// [`cdpo`] with a target margin: z = β·h − γ in place of β·h (Meng et al. 2024, arXiv:2405.14734, eq. 6, on any
/// log-ratios). [`simpo`](super::simpo) is this on the policy's log-probs per token.
///
/// Returns `[pairs]`.
///
/// # Errors
/// As [`cdpo`], and if `margin` (γ) is not finite.
pub fn cdpo_with_margin(ratios: &LogRatios, beta: f64, margin: f64, label_smoothing: f64) -> Result<Tensor> {
    smoothed(&(scaled(ratios, beta)? - finite("margin", margin)?)?, label_smoothing)
}

/// Robust DPO: unbiased under labels that are flipped with probability ε (Chowdhury et al. 2024,
/// arXiv:2403.00409, section 3.1).
///
/// ℓ = (−(1 − ε)·log σ(β·h) + ε·log σ(−β·h)) / (1 − 2ε)
///
/// Returns `[pairs]`. Unbounded below: its expectation over the flips is [`dpo`], a single pair's is not.
///
/// # Errors
/// As [`cdpo`].
pub fn robust_dpo(ratios: &LogRatios, beta: f64, label_smoothing: f64) -> Result<Tensor> {
    let epsilon = below_half(label_smoothing)?;
    let logits = scaled(ratios, beta)?;
    let as_labelled = (log_sigmoid(&logits)? * (epsilon - 1.0))?;
    let flipped = (log_sigmoid(&logits.neg()?)? * epsilon)?;
    (as_labelled + flipped)? / (1.0 - 2.0 * epsilon)
}

/// Hinge loss on the margin (Zhao et al. 2023, SLiC-HF, arXiv:2305.10425; with a reference Liu et al. 2023, RSO,
/// arXiv:2309.06657).
///
/// ℓ = max(0, 1 − β·h)
///
/// Returns `[pairs]`. Slope 0 at the corner.
///
/// # Errors
/// If β is not a positive number.
pub fn hinge(ratios: &LogRatios, beta: f64) -> Result<Tensor> {
    relu(&scaled(ratios, beta)?.affine(-1.0, 1.0)?)
}

/// DPO on means per token (Lambert et al. 2024, Tulu 3, arXiv:2411.15124; TRL's `sigmoid_norm`).
///
/// ℓ = −log σ(β·(a/|y_w| − b/|y_l|))
///
/// Returns `[pairs]`. Needs a β some completion lengths larger than [`dpo`]'s.
///
/// # Errors
/// As [`dpo`] and [`LogRatios::per_token`].
pub fn dpo_length_normalized(ratios: &LogRatios, lengths: &PairLengths, beta: f64) -> Result<Tensor> {
    dpo(&ratios.per_token(lengths)?, beta)
}

/// β·h.
pub(super) fn scaled(ratios: &LogRatios, beta: f64) -> Result<Tensor> {
    ratios.difference()? * positive("beta", beta)?
}

/// −(1 − ε)·log σ(z) − ε·log σ(−z).
pub(super) fn smoothed(logits: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    let epsilon = below_half(label_smoothing)?;
    let as_labelled = (log_sigmoid(logits)? * (epsilon - 1.0))?;
    if epsilon == 0.0 {
        return Ok(as_labelled);
    }
    as_labelled - (log_sigmoid(&logits.neg()?)? * epsilon)?
}

pub(super) fn below_half(label_smoothing: f64) -> Result<f64> {
    if !(0.0..0.5).contains(&label_smoothing) {
        bail!("expected label_smoothing in [0, 0.5), got {label_smoothing}");
    }
    Ok(label_smoothing)
}
