//! Estimates of KL(π ‖ π_ref) from tokens that π itself sampled (Schulman 2020, "Approximating KL
//! divergence", <http://joschu.net/blog/kl-approx.html>).
//!
//! With r = log π_ref(y_t|·) − log π(y_t|·), the log of the note's ratio, each is a value per token whose
//! mean over samples *from the policy* estimates the divergence; on other samples they estimate nothing.
//! A policy surer of its samples than the reference is has k1 > 0.
//!
//! | | value | bias | |
//! |---|---|---|---|
//! | k1 | −r = log π − log π_ref | none | may be negative; the penalty in PPO's reward |
//! | k2 | r²/2 | small | never negative |
//! | k3 | eʳ − 1 − r | none | never negative, low variance; GRPO's penalty |
//! | abs | \|r\| | yes | never negative; a penalty of older PPO codes |
//!
//! Gradients flow to the policy's log-probs; the reference is held constant. An unbiased value does not make
//! an unbiased gradient: as a loss, k1's gradient is 0 in expectation, k2's is that of KL(π ‖ π_ref), k3's
//! that of KL(π_ref ‖ π). Where the samples are of an older policy, [`bias_corrected_k3`] corrects for it.
//!
//! The estimates are elementwise and know no mask. Before they are summed, what does not count must be left out:
//! [`Sequences::sums`](crate::Sequences::sums), [`means`](crate::Sequences::means) and
//! [`masked_mean`](crate::masked_mean) do that, and the forms of [`crate::policy::reduction`] that are built on them.
//! A masked log-prob may then be any finite number; where it may be infinite or NaN take
//! [`Sequences::counted`](crate::Sequences::counted) of both log-probs first.
//!
//! From whole logits the divergence needs no estimate: [`exact_kl`]. What its penalty costs over a run:
//! [`KlController`].

mod controller;
mod exact;

use candle_core::{Result, Tensor};

use crate::checks::{at_least_f32, constant_like, same_shape};
use crate::numerics::{exp, exp_above_tangent, relu};

pub use controller::{AdaptiveKl, FixedKl, KlController};
pub use exact::exact_kl;

/// k1 = log π − log π_ref per token; any shape, the same for both. Unbiased, may be negative.
///
/// # Errors
/// If the shapes differ or the log-probs are not of a floating type.
pub fn k1(policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    log_ratio(policy, reference)?.neg()
}

/// k2 = (log π − log π_ref)² / 2 per token; any shape, the same for both. Biased, never negative.
///
/// # Errors
/// As [`k1`].
pub fn k2(policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    log_ratio(policy, reference)?.sqr()? * 0.5
}

/// k3 = eʳ − 1 − r per token; any shape, the same for both. Unbiased, never negative.
///
/// Exact for small r, where eʳ − 1 − r cancels. From r = 75 on in f32 (690 in f64), where the reference finds a token
/// e⁷⁵ times likelier than the policy that sampled it, eʳ is continued as its tangent: huge, and never infinite.
///
/// # Errors
/// As [`k1`].
pub fn k3(policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    exp_above_tangent(&log_ratio(policy, reference)?)
}

/// |log π − log π_ref| per token; any shape, the same for both. The slope at equality is 0.
///
/// # Errors
/// As [`k1`].
pub fn abs_kl(policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    let r = log_ratio(policy, reference)?;
    relu(&r)? + relu(&r.neg()?)?
}

/// ρ·(eʳ − 1 − r) per token, with ρ = π/π_old: k3 of samples that an older policy drew, unbiased in value and in
/// gradient, which flows through ρ too (DeepSeek-V3.2, arXiv:2512.02556, eq. 7; TRL's
/// `use_bias_correction_kl`).
///
/// `log_ratios` is log ρ, of each token or of its sequence ([`crate::policy::ratio`]); any shape, the same for
/// all three. Exponentials are continued as in [`k3`], so that no log-ratio makes a slope infinite or NaN.
///
/// # Errors
/// As [`k1`], for the log-ratios too.
pub fn bias_corrected_k3(policy: &Tensor, reference: &Tensor, log_ratios: &Tensor) -> Result<Tensor> {
    let r = log_ratio(policy, reference)?;
    same_shape("log-ratios", log_ratios, "the policy's log-probs", &r)?;
    let log_ratios = at_least_f32("log-ratios", log_ratios)?.to_dtype(r.dtype())?;
    let zeros = r.zeros_like()?;
    // For large r as ρ·eʳ·(1 − (1 + r)·e⁻ʳ): eʳ may overflow where ρ makes up for it.
    let large = r.gt(1f64)?;
    let (small_r, large_r) = (large.where_cond(&zeros, &r)?, large.where_cond(&r, &zeros)?);
    let small = (exp_above_tangent(&small_r)? * exp(&large.where_cond(&zeros, &log_ratios)?)?)?;
    // From r = 40 on the last factor is 1 to the last digit of f64, and has no slope.
    let within = large_r.le(40f64)?.where_cond(&large_r, &(r.ones_like()? * 40.0)?)?;
    let share = (&within + 1.0)?.mul(&within.neg()?.exp()?)?.affine(-1.0, 1.0)?;
    let joint = exp(&(&large_r + large.where_cond(&log_ratios, &zeros)?)?)?;
    large.where_cond(&(joint * share)?, &small)
}

/// r = log π_ref − log π.
fn log_ratio(policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    same_shape("the reference's log-probs", reference, "the policy's", policy)?;
    let policy = at_least_f32("the policy's log-probs", policy)?;
    constant_like("the reference's log-probs", reference, &policy)? - policy
}
