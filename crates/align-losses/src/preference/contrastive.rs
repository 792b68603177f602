//! Losses that match a distribution over the answers of a prompt, here the two of a pair.

use candle_core::{Result, Tensor, bail};

use super::LogRatios;
use super::dpo::{below_half, scaled};
use crate::checks::positive;
use crate::numerics::{log_sigmoid, sigmoid};

/// Efficient exact optimization on a pair: the reverse KL from the policy's choice to the labels' (Ji et al.
/// 2024, arXiv:2402.00856, eq. 16).
///
/// ℓ = σ(β·h)·(log σ(β·h) − log(1 − ε)) + σ(−β·h)·(log σ(−β·h) − log ε)
///
/// Returns `[pairs]`; never negative, 0 at σ(β·h) = 1 − ε. TRL puts 10⁻³ for an ε of 0.
///
/// # Errors
/// If β is not a positive number, or `label_smoothing` (ε) is outside (0, 0.5): at 0 the divergence is infinite.
pub fn exo_pair(ratios: &LogRatios, beta: f64, label_smoothing: f64) -> Result<Tensor> {
    let epsilon = below_half(label_smoothing)?;
    if epsilon == 0.0 {
        bail!("expected label_smoothing above 0 (at 0 the divergence is infinite), got 0");
    }
    let logits = scaled(ratios, beta)?;
    let term = |logits: &Tensor, log_label: f64| sigmoid(logits)? * (log_sigmoid(logits)? - log_label)?;
    term(&logits, (-epsilon).ln_1p())? + term(&logits.neg()?, epsilon.ln())?
}

/// Noise contrastive alignment on a pair: raises the chosen answer's own likelihood, not only the margin (Chen
/// et al. 2024, arXiv:2402.05369, section 4.1).
///
/// ℓ = −log σ(β·a) − ½·log σ(−β·a) − ½·log σ(−β·b)
///
/// Returns `[pairs]`.
///
/// # Errors
/// If β is not a positive number.
pub fn nca_pair(ratios: &LogRatios, beta: f64) -> Result<Tensor> {
    let beta = positive("beta", beta)?;
    let (chosen, rejected) = ((&ratios.chosen * beta)?, (&ratios.rejected * beta)?);
    let noise = (log_sigmoid(&chosen.neg()?)? + log_sigmoid(&rejected.neg()?)?)?;
    (log_sigmoid(&chosen)? + (noise * 0.5)?)?.neg()
}
