//! DPO under other divergences than the reverse KL (Wang et al. 2023, arXiv:2309.16240): the implicit reward is
//! f′(π/π_ref) in place of log(π/π_ref).

use std::f64::consts::LN_2;

use candle_core::{Result, Tensor};

use super::LogRatios;
use crate::checks::finite;
use crate::numerics::{exp_minus_one, log_sigmoid};

/// An f-divergence, with t = π/π_ref and x = log t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FDivergence {
    /// f′ = x: DPO itself.
    ReverseKl,
    /// f′ = 1 − 1/t = 1 − e^−x, up to a constant and a scale the paper's −1/t.
    ForwardKl,
    /// f′ = log(2t/(1 + t)) = log 2 + log σ(x). Bounded above: an answer's reward cannot grow without end.
    JensenShannon,
    /// f′ = (t^(α−1) − 1)/(α − 1), as TRL 1.x has it: the exponent (α − 1)·x is capped at 80, with slope 0 beyond.
    /// For α within 10⁻⁶ of 1 its limit, the reverse KL.
    Alpha(f64),
    /// f′ = (1 − t^−α)/α, the paper's parameter (and TRL's before 1.0): `Alpha(1 − α)` without the cap. Near α = 0
    /// the reverse KL.
    PaperAlpha(f64),
}

impl LogRatios {
    /// f′ of both ratios, for the losses on h ([`dpo`](super::dpo), [`hinge`](super::hinge), …).
    ///
    /// What is reported as reward stays β·log(π/π_ref) in TRL: take [`LogRatios::rewards`] before this. Where an
    /// exponential would overflow (exponents beyond 80 in f32, 700 in f64) it goes on as its tangent.
    ///
    /// # Errors
    /// If an α is not finite.
    pub fn with_divergence(&self, divergence: FDivergence) -> Result<Self> {
        Ok(Self { chosen: score(&self.chosen, divergence)?, rejected: score(&self.rejected, divergence)? })
    }
}

/// f′ as a function of x.
fn score(x: &Tensor, divergence: FDivergence) -> Result<Tensor> {
    match divergence {
        FDivergence::ReverseKl => Ok(x.clone()),
        FDivergence::ForwardKl => exp_minus_one(&x.neg()?)?.neg(),
        FDivergence::JensenShannon => log_sigmoid(x)? + LN_2,
        FDivergence::Alpha(alpha) => match away_from_zero(finite("alpha", alpha)? - 1.0) {
            None => Ok(x.clone()),
            Some(power) => exp_minus_one(&capped(&(x * power)?)?)? / power,
        },
        FDivergence::PaperAlpha(alpha) => match away_from_zero(finite("alpha", alpha)?) {
            None => Ok(x.clone()),
            Some(power) => exp_minus_one(&(x * -power)?)? / -power,
        },
    }
}

fn away_from_zero(power: f64) -> Option<f64> {
    (power.abs() >= 1e-6).then_some(power)
}

/// At most 80, where e⁸⁰ still has a place in f32.
fn capped(exponent: &Tensor) -> Result<Tensor> {
    const CAP: f64 = 80.0;
    exponent.le(CAP)?.where_cond(exponent, &(exponent.ones_like()? * CAP)?)
}
