//! SAPO: a sigmoid gate around ratio 1 instead of a clip, so that the gradient fades and is never cut off.

use candle_core::{Result, Tensor};

use crate::checks::positive;
use crate::checks::{at_least_f32, constant_like, same_shape};
use crate::numerics::sigmoid;

/// The temperatures of the gate: how fast it closes. A larger one closes it nearer to ratio 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SapoTemperatures {
    /// τ for positive advantages. TRL's `sapo_temperature_pos`, 1.0.
    pub positive: f64,
    /// τ for the others. TRL's `sapo_temperature_neg`, 1.05: pushing a token down spreads its mass over the
    /// whole vocabulary, which is the less stable direction.
    pub negative: f64,
}

/// −A_it·(4/τ)·σ(τ·(ρ_it − 1)) per token (Soft Adaptive Policy Optimization, arXiv:2511.20347, eq. 5).
///
/// At ratio 1 the slope is that of the unclipped surrogate. Log-ratios and advantages (held constant) of one
/// shape, any. Elementwise, without a mask: reduce with [`Sequences::means`](crate::Sequences::means) and the like,
/// which leave out what does not count.
///
/// # Errors
/// If the shapes differ, a tensor is not of a floating type, or a temperature is not positive.
pub fn sapo(log_ratios: &Tensor, advantages: &Tensor, temperatures: SapoTemperatures) -> Result<Tensor> {
    // σ'(800)·ρ is 0 in f64, whatever the ratio.
    const SATURATED: f64 = 800.0;
    let log_ratios = at_least_f32("log-ratios", log_ratios)?;
    same_shape("advantages", advantages, "the log-ratios", &log_ratios)?;
    let advantages = constant_like("advantages", advantages, &log_ratios)?;
    let ones = log_ratios.ones_like()?;
    let temperature = advantages.gt(0f64)?.where_cond(
        &(&ones * positive("the positive temperature", temperatures.positive)?)?,
        &(&ones * positive("the negative temperature", temperatures.negative)?)?,
    )?;

    // A saturated gate is 1, and its ratio, which may be infinite, must not meet its slope of 0.
    let open = (&temperature * (log_ratios.detach().exp()? - 1.0)?)?;
    let saturated = open.gt(SATURATED)?;
    let moving = saturated.where_cond(&log_ratios.zeros_like()?, &log_ratios)?.exp()?;
    let gate = sigmoid(&(&temperature * (moving - 1.0)?)?)?;
    let gate = saturated.where_cond(&ones, &gate)?;
    ((gate * advantages)? / temperature)? * -4.0
}
