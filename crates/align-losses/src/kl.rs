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
//!
//! Gradients flow to the policy's log-probs; the reference is held constant. An unbiased value does not make
//! an unbiased gradient: as a loss, k1's gradient is 0 in expectation, k2's is that of KL(π ‖ π_ref), k3's
//! that of KL(π_ref ‖ π).

use candle_core::{Result, Tensor};

use crate::checks::{at_least_f32, constant_like, same_shape};
use crate::numerics::exp_above_tangent;

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
/// Exact for small r, where e^r − 1 − r cancels. Infinite in f32 from r = 89 on: a token the reference
/// finds e⁸⁹ times likelier than the policy that sampled it.
///
/// # Errors
/// As [`k1`].
pub fn k3(policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    exp_above_tangent(&log_ratio(policy, reference)?)
}

/// r = log π_ref − log π.
fn log_ratio(policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    same_shape("the reference's log-probs", reference, "the policy's", policy)?;
    let policy = at_least_f32("the policy's log-probs", policy)?;
    constant_like("the reference's log-probs", reference, &policy)? - policy
}
