//! CISPO: the importance ratio weighs the token's log-prob instead of being what is differentiated, so a token
//! beyond the cap is weighed less and never silenced.

use candle_core::{Result, Tensor};

use super::ratio::log_ratios;
use crate::checks::positive;
use crate::checks::{constant_like, same_shape};
use crate::sequence::Sequences;

/// Losses of [`cispo`], and where the cap held.
#[derive(Debug, Clone)]
pub struct Cispo {
    /// Loss of each token.
    pub losses: Tensor,
    /// 1 where the ratio is above the cap and the advantage positive, else 0; detached. Its mean over tokens is
    /// TRL's `cispo_clip_ratio`.
    pub clipped: Tensor,
}

/// −sg(min(ρ_it, cap))·A_it·log π(y_it|·) per token (MiniMax-M1, arXiv:2506.13585, eq. 4; sg holds constant).
///
/// Log-probs, the sampling policy's and advantages are of [`Sequences::dims`]. `cap` is TRL's `epsilon_high`
/// for this loss: an absolute ratio (5.0 in ScaleRL, arXiv:2510.13786), not a distance from 1. There is no bound
/// from below.
///
/// # Errors
/// If the shapes are not those of the sequences, a tensor is not of a floating type, or the cap is not positive.
pub fn cispo(
    log_probs: &Tensor,
    old_log_probs: &Tensor,
    advantages: &Tensor,
    sequences: &Sequences,
    cap: f64,
) -> Result<Cispo> {
    let cap = positive("cap", cap)?;
    let log_probs = sequences.counted(log_probs)?;
    same_shape("advantages", advantages, "the log-probs", &log_probs)?;
    let advantages = constant_like("advantages", advantages, &log_probs)?;
    let ratios = log_ratios(&log_probs.detach(), old_log_probs, sequences)?.exp()?;
    let clipped = (ratios.gt(cap)? * advantages.gt(0f64)?)?.to_dtype(log_probs.dtype())?;
    let losses = ((ratios.minimum(cap)? * advantages)? * log_probs)?.neg()?;
    Ok(Cispo { losses, clipped })
}
