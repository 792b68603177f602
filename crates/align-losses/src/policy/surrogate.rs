//! The clipped surrogate objective: −min(ρ·A, clip(ρ)·A), and its two kinds of further bound.
//!
//! Written out by the sign of the advantage, the minimum is a ratio held at a bound:
//!
//! | | A > 0 | A < 0 |
//! |---|---|---|
//! | clip | at most 1 + high | at least 1 − low |
//! | dual clip, two-sided | | and at most a cap |
//!
//! So the gradient vanishes on one side of the range only: a token that has become too *un*likely although it
//! was good (ρ < 1 − low, A > 0) must still be pulled back. At a bound itself the ratio moves, and a token
//! without advantage has no gradient, whatever its ratio.
//!
//! The functions take log-ratios and advantages of one shape, any: tokens (PPO, GRPO), or `[sequences]` (GSPO,
//! RLOO) whose losses [`Sequences::spread`] gives to the tokens where the method counts by token. They are elementwise
//! and know no mask: reduce the losses with [`Sequences::sums`] or [`super::reduction`], which leave out what does not
//! count and give it no gradient. [`log_ratios`](super::log_ratios) are 0 there already; other ones may be any finite
//! number. A ratio that nothing holds (A < 0, no cap) is e^ℓ up to ℓ = 75 in f32 (690 in f64) and continued as the
//! tangent beyond, so that it is finite.

use candle_core::{Result, Tensor, bail};

use crate::checks::{at_least_f32, constant_like, not_negative, positive, same_shape};
use crate::numerics::exp;
use crate::sequence::Sequences;

/// The clip range of a ratio, outside of which it earns nothing more: [1 − low, 1 + high].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip {
    /// Below 1. TRL's `epsilon`, 0.2 in PPO.
    pub low: f64,
    /// Above 1. TRL's `epsilon_high`; larger than `low` in DAPO ("clip-higher", arXiv:2503.14476: 0.28).
    pub high: f64,
}

impl Clip {
    /// The same range on both sides.
    pub fn symmetric(epsilon: f64) -> Self {
        Self { low: epsilon, high: epsilon }
    }

    pub(super) fn checked(self) -> Result<Self> {
        not_negative("clip low", self.low)?;
        not_negative("clip high", self.high)?;
        Ok(self)
    }
}

/// Losses of a clipped objective, and where the clip held; what is reported is detached.
#[derive(Debug, Clone)]
pub struct Surrogate {
    /// Loss of each element, in the shape of the log-ratios (of each sequence in GMPO).
    pub losses: Tensor,
    /// 1 where the ratio is below the range and the advantage negative, else 0; in the shape of the log-ratios.
    pub clipped_low: Tensor,
    /// 1 where the ratio is above the range and the advantage positive, else 0.
    pub clipped_high: Tensor,
}

/// The shares of clipped ratios, between 0 and 1: TRL's `clip_ratio/…`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipRatios {
    /// Share clipped from below.
    pub low_mean: f64,
    /// The sequence with the smallest such share.
    pub low_min: f64,
    /// Share clipped from above.
    pub high_mean: f64,
    /// The sequence with the largest such share.
    pub high_max: f64,
    /// Share clipped at all: PPO's `clipfrac`.
    pub region_mean: f64,
}

impl Surrogate {
    /// The same as constants.
    #[must_use]
    pub fn detach(&self) -> Self {
        let Self { losses, clipped_low, clipped_high } = self;
        Self {
            losses: losses.detach(),
            clipped_low: clipped_low.detach(),
            clipped_high: clipped_high.detach(),
        }
    }

    /// The shares of tokens, for log-ratios of tokens. Sequences without tokens say nothing; all are 0 if there
    /// is no token at all.
    ///
    /// # Errors
    /// If the log-ratios were not of these sequences' tokens.
    pub fn token_clip_ratios(&self, sequences: &Sequences) -> Result<ClipRatios> {
        let shares = |clipped: &Tensor| -> Result<(f64, Vec<f64>)> {
            let sums = super::on_host(&sequences.sums(clipped)?)?;
            let mean = sums.iter().sum::<f64>() / sequences.tokens().max(1) as f64;
            let filled = sums.iter().zip(sequences.lengths()).filter(|&(_, &length)| length > 0);
            Ok((mean, filled.map(|(sum, &length)| sum / length as f64).collect()))
        };
        Ok(ClipRatios::of(shares(&self.clipped_low)?, shares(&self.clipped_high)?))
    }

    /// The shares of sequences, for log-ratios `[sequences]`.
    ///
    /// # Errors
    /// If the log-ratios were not of sequences.
    pub fn sequence_clip_ratios(&self) -> Result<ClipRatios> {
        let shares = |clipped: &Tensor| -> Result<(f64, Vec<f64>)> {
            let count = clipped.dims1()?;
            let clipped = super::on_host(clipped)?;
            Ok((clipped.iter().sum::<f64>() / count.max(1) as f64, clipped))
        };
        Ok(ClipRatios::of(shares(&self.clipped_low)?, shares(&self.clipped_high)?))
    }
}

impl ClipRatios {
    fn of((low_mean, low): (f64, Vec<f64>), (high_mean, high): (f64, Vec<f64>)) -> Self {
        Self {
            low_mean,
            low_min: low.into_iter().reduce(f64::min).unwrap_or(0.0),
            high_mean,
            high_max: high.into_iter().reduce(f64::max).unwrap_or(0.0),
            // An element has one sign of advantage: it is clipped from one side at most.
            region_mean: low_mean + high_mean,
        }
    }
}

/// −min(ρ·A, clip(ρ, 1 − low, 1 + high)·A) (Schulman et al. 2017, PPO, arXiv:1707.06347, eq. 7).
///
/// Log-ratios and advantages (held constant) of one shape.
///
/// # Errors
/// If the shapes differ, a tensor is not of a floating type, or the range is negative.
pub fn clipped_surrogate(log_ratios: &Tensor, advantages: &Tensor, clip: Clip) -> Result<Surrogate> {
    let Clip { low, high } = clip.checked()?;
    bounded(log_ratios, advantages, 1.0 - low, 1.0 + high, None)
}

/// The dual clip (Ye et al. 2020, arXiv:1912.09729, eq. 5): for A < 0 the objective is at least c·A, that is,
/// −max(min(ρ·A, clip(ρ)·A), c·A).
///
/// Without it the loss of a bad token that has become much likelier grows with its ratio without bound.
///
/// # Errors
/// As [`clipped_surrogate`], and if the cap c is not above 1.
pub fn dual_clip_surrogate(
    log_ratios: &Tensor,
    advantages: &Tensor,
    clip: Clip,
    cap: f64,
) -> Result<Surrogate> {
    let Clip { low, high } = clip.checked()?;
    if !(cap.is_finite() && cap > 1.0) {
        bail!("expected the dual clip's cap to be a number above 1, got {cap}");
    }
    bounded(log_ratios, advantages, 1.0 - low, 1.0 + high, Some(cap))
}

/// Two-sided clipping (INTELLECT-2, arXiv:2505.07291, eq. 2; TRL's `delta`): −min(min(ρ, δ)·A, clip(ρ)·A).
///
/// With δ > 1 + high, as the paper has it, this is the dual clip with c = δ. A smaller δ is the bound from above
/// for A > 0 instead.
///
/// # Errors
/// As [`clipped_surrogate`], and if δ is not a positive number.
pub fn two_sided_surrogate(
    log_ratios: &Tensor,
    advantages: &Tensor,
    clip: Clip,
    delta: f64,
) -> Result<Surrogate> {
    let Clip { low, high } = clip.checked()?;
    let delta = positive("delta", delta)?;
    let (lower, upper) = (1.0 - low, 1.0 + high);
    bounded(log_ratios, advantages, lower, upper.min(delta), Some(upper.max(delta)))
}

/// −ρ·A with the ratio held at `upper` for A > 0, at `lower` and at `cap` for A < 0.
fn bounded(
    log_ratios: &Tensor,
    advantages: &Tensor,
    lower: f64,
    upper: f64,
    cap: Option<f64>,
) -> Result<Surrogate> {
    let log_ratios = at_least_f32("log-ratios", log_ratios)?;
    same_shape("advantages", advantages, "the log-ratios", &log_ratios)?;
    let advantages = constant_like("advantages", advantages, &log_ratios)?;
    let ratios = log_ratios.detach().exp()?;
    let (good, bad) = (advantages.gt(0f64)?, advantages.lt(0f64)?);
    let (clipped_low, clipped_high) = ((ratios.lt(lower)? * &bad)?, (ratios.gt(upper)? * &good)?);

    let mut held = vec![(clipped_low.clone(), lower), (clipped_high.clone(), upper)];
    if let Some(cap) = cap {
        held.push(((ratios.gt(cap)? * &bad)?, cap));
    }
    // An element without slope is fed ℓ = 0, so that its own exponential does not meet it.
    let zeros = log_ratios.zeros_like()?;
    let mut log_moving = advantages.eq(0f64)?.where_cond(&zeros, &log_ratios)?;
    for (is_held, _) in &held {
        log_moving = is_held.where_cond(&zeros, &log_moving)?;
    }
    let mut ratios = exp(&log_moving)?;
    for (is_held, bound) in &held {
        ratios = is_held.where_cond(&(zeros.ones_like()? * *bound)?, &ratios)?;
    }
    Ok(Surrogate {
        losses: (ratios * advantages)?.neg()?,
        clipped_low: clipped_low.to_dtype(log_ratios.dtype())?,
        clipped_high: clipped_high.to_dtype(log_ratios.dtype())?,
    })
}
