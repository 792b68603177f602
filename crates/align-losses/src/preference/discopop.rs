//! DiscoPOP, a loss that a language model found by search.

use candle_core::{Result, Tensor};

use super::LogRatios;
use super::dpo::scaled;
use crate::checks::positive;
use crate::numerics::{exp, log_sigmoid, sigmoid};

/// Log-ratio modulated loss (Lu et al. 2024, arXiv:2406.08414, eq. 5): logistic where the pair is ordered wrongly,
/// exponential where it is ordered rightly.
///
/// ℓ = (1 − m)·(−log σ(z)) + m·e^−z, with z = β·h and m = σ(z/τ)
///
/// Returns `[pairs]`. Not convex: around z = 0 the two forms are blended over a width of `tau` (TRL's
/// `discopop_tau`, 0.05). m·e^−z is taken as one exponential: at z = −200 the factors are 0 and ∞ in f32.
///
/// # Errors
/// If β or `tau` is not a positive number.
pub fn discopop(ratios: &LogRatios, beta: f64, tau: f64) -> Result<Tensor> {
    let logits = scaled(ratios, beta)?;
    let blend = (&logits / positive("tau", tau)?)?;
    let logistic = (sigmoid(&blend.neg()?)? * log_sigmoid(&logits)?)?;
    exp(&(log_sigmoid(&blend)? - logits)?)? - logistic
}
