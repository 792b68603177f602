//! Squared losses: the log-ratios are driven to a target, not as far as they go.

use candle_core::{Result, Tensor};

use super::{LogRatios, PairLengths};
use crate::checks::positive;

/// Identity preference optimization (Azar et al. 2023, arXiv:2310.12036, eq. 17, where β is τ).
///
/// ℓ = (h − 1/(2β))²
///
/// Returns `[pairs]`. The log-probs are sums, as in the paper's equation (TRL before 1.0, OpenRLHF); for TRL 1.x's
/// `ipo` take [`ipo_length_normalized`], whose β is of another size.
///
/// # Errors
/// If β is not a positive number.
pub fn ipo(ratios: &LogRatios, beta: f64) -> Result<Tensor> {
    (ratios.difference()? - 0.5 / positive("beta", beta)?)?.sqr()
}

/// [`ipo`] on means per token, which its authors say they ran (TRL 1.x's `ipo`).
///
/// ℓ = (a/|y_w| − b/|y_l| − 1/(2β))²
///
/// Returns `[pairs]`.
///
/// # Errors
/// As [`ipo`] and [`LogRatios::per_token`].
pub fn ipo_length_normalized(ratios: &LogRatios, lengths: &PairLengths, beta: f64) -> Result<Tensor> {
    ipo(&ratios.per_token(lengths)?, beta)
}

/// Self-play preference optimization with hard labels: the winner wins with probability 1 (Wu et al. 2024,
/// arXiv:2405.00675, eq. 4.7 with P = 1 and 0, where β is 1/η).
///
/// ℓ = (a − 1/(2β))² + (b + 1/(2β))²
///
/// Returns `[pairs]`.
///
/// # Errors
/// If β is not a positive number.
pub fn sppo_hard(ratios: &LogRatios, beta: f64) -> Result<Tensor> {
    let target = 0.5 / positive("beta", beta)?;
    (&ratios.chosen - target)?.sqr()? + (&ratios.rejected + target)?.sqr()?
}
