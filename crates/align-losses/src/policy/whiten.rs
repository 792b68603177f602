//! Whitening: mean 0 and variance 1 over the tokens of a batch. It carries no gradient.

use candle_core::{Result, Tensor};

use super::{like, on_host};
use crate::checks::at_least_f32;
use crate::sequence::Sequences;

/// The moments of all tokens that count, in f64.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// The numbers that count.
    pub count: usize,
    /// Σ x / n; 0 if nothing counts.
    pub mean: f64,
    /// Σ (x − mean)² / (n − 1), unbiased; 0 of fewer than two.
    pub variance: f64,
}

/// The moments of all tokens that count; values of [`Sequences::dims`].
///
/// # Errors
/// If the values are not of the sequences' tokens.
pub fn token_moments(values: &Tensor, sequences: &Sequences) -> Result<Moments> {
    let values = on_host(&sequences.counted(values)?)?;
    let positions = sequences.positions()?;
    let counted = || positions.iter().flatten().map(|&position| values[position]);
    let count = sequences.tokens();
    let mean = counted().sum::<f64>() / count.max(1) as f64;
    let squares: f64 = counted().map(|value| (value - mean).powi(2)).sum();
    Ok(Moments { count, mean, variance: squares / count.saturating_sub(1).max(1) as f64 })
}

/// (x − mean)/√(variance + 10⁻⁸), by the moments of what counts and applied to every entry, padding included (TRL's
/// `masked_whiten`). Detached, in the type of the values (at least f32).
///
/// # Errors
/// If the values are not of the sequences' tokens.
pub fn whiten(values: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    standardized(values, sequences, |_mean| 0.0)
}

/// [`whiten`] with the mean added back (TRL's `shift_mean=False`): only the scale changes, as PPO wants of rewards, whose
/// sign has a meaning.
///
/// # Errors
/// As [`whiten`].
pub fn whiten_around_mean(values: &Tensor, sequences: &Sequences) -> Result<Tensor> {
    standardized(values, sequences, |mean| mean)
}

/// The values in units of their deviation, around another centre.
fn standardized(values: &Tensor, sequences: &Sequences, centre: impl Fn(f64) -> f64) -> Result<Tensor> {
    const EPSILON: f64 = 1e-8;
    let Moments { mean, variance, .. } = token_moments(values, sequences)?;
    let scale = (variance + EPSILON).sqrt().recip();
    let centre = centre(mean);
    let whitened = on_host(values)?.into_iter().map(|value| (value - mean) * scale + centre).collect();
    like(whitened, &at_least_f32("values", values)?)
}
