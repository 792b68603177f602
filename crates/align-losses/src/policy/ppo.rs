//! Proximal policy optimization with a critic (Schulman et al. 2017, arXiv:1707.06347): the policy's loss and
//! the critic's, per token.
//!
//! The whole objective is mean(policy) + vf_coef·mean(value) − ent_coef·mean(entropy); the means are
//! [`token_mean`](super::token_mean)s. TRL's `policy/approxkl_avg` is the mean of
//! [`k2`](crate::kl::k2)(log_probs, old_log_probs).
//!
//! Both losses are elementwise and know no mask: `token_mean` (or [`Sequences::sums`](crate::Sequences::sums)) leaves out
//! what does not count. Padding may be any finite number then; where it may be infinite or NaN take
//! [`Sequences::counted`](crate::Sequences::counted) of the inputs first.

use candle_core::{Result, Tensor};

use super::surrogate::{Clip, Surrogate, clipped_surrogate};
use crate::checks::{at_least_f32, constant_like, not_negative, same_shape};

/// max(−A·ρ, −A·clip(ρ, 1 − low, 1 + high)) per token (arXiv:1707.06347, eq. 7), with ρ = π/π_old.
///
/// Log-probs, the sampling policy's log-probs and advantages of one shape, any; the last two are held constant.
/// Elementwise, without a mask: see the module's page.
///
/// # Errors
/// If the shapes differ, a tensor is not of a floating type, or the range is negative.
#[doc(alias = "ppo_loss")]
pub fn ppo_clip(
    log_probs: &Tensor,
    old_log_probs: &Tensor,
    advantages: &Tensor,
    clip: Clip,
) -> Result<Surrogate> {
    let log_probs = at_least_f32("log-probs", log_probs)?;
    same_shape("the sampling policy's log-probs", old_log_probs, "the policy's", &log_probs)?;
    let old_log_probs = constant_like("the sampling policy's log-probs", old_log_probs, &log_probs)?;
    clipped_surrogate(&(log_probs - old_log_probs)?, advantages, clip)
}

/// Losses of a critic, and where the clip held.
#[derive(Debug, Clone)]
pub struct ValueLoss {
    /// Loss of each token.
    pub losses: Tensor,
    /// 1 where the clipped value is the worse one, so that nothing moves, else 0; detached. Its mean is TRL's
    /// `val/clipfrac_avg`.
    pub clipped: Tensor,
}

/// ½·max((V − R)², (clip(V, V_old − c, V_old + c) − R)²) per token: a critic that moves at most c from what it
/// said at sampling time (the code of PPO; Huang et al. 2022, "The 37 implementation details of PPO", 9).
///
/// Values, the old values and returns of one shape, any; the last two are held constant. Elementwise, without a mask,
/// as [`ppo_clip`].
///
/// # Errors
/// If the shapes differ, a tensor is not of a floating type, or the range is negative.
#[doc(alias = "value_loss")]
pub fn clipped_value_loss(
    values: &Tensor,
    old_values: &Tensor,
    returns: &Tensor,
    cliprange: f64,
) -> Result<ValueLoss> {
    let cliprange = not_negative("cliprange", cliprange)?;
    let values = at_least_f32("values", values)?;
    same_shape("old values", old_values, "the values", &values)?;
    same_shape("returns", returns, "the values", &values)?;
    let old_values = constant_like("old values", old_values, &values)?;
    let returns = constant_like("returns", returns, &values)?;

    let nearest =
        values.detach().maximum(&(&old_values - cliprange)?)?.minimum(&(old_values + cliprange)?)?;
    let (free, held) = ((&values - &returns)?, (&nearest - returns)?);
    // held² > free² by its factors: beside returns of 10⁶ both squares are the same number in f32. Inside the
    // range the two values are equal and the free one moves.
    let clipped = ((nearest - values.detach())? * (free.detach() + &held)?)?.gt(0f64)?;
    let losses = (clipped.where_cond(&held, &free)?.sqr()? * 0.5)?;
    Ok(ValueLoss { clipped: clipped.to_dtype(losses.dtype())?, losses })
}
