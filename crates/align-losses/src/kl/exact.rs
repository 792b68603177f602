//! KL(π ‖ π_ref) over the whole vocabulary.

use candle_core::{D, Result, Tensor, bail};

use crate::checks::at_least_f32;
use crate::numerics::exp_above_tangent;

/// KL(π ‖ π_ref) = Σ_v π_v·(log π_v − log π_ref,v): logits `[.., vocab]` of both → `[..]`.
///
/// Never negative and exact for models that are nearly the same: with r = log π_ref − log π it is summed as
/// Σ π·(eʳ − 1 − r), whose terms cannot cancel, since Σ π·eʳ is 1 and so is Σ π. Gradients flow to the
/// policy's logits.
///
/// A logit may be −∞ (a token masked out): under the policy it adds nothing and has no gradient; under the
/// reference alone it makes the divergence infinite. f16 and bf16 give f32.
///
/// # Errors
/// If the shapes differ, there is no vocabulary, or the logits are not of a floating type.
#[doc(alias = "kl_divergence")]
pub fn exact_kl(logits: &Tensor, ref_logits: &Tensor) -> Result<Tensor> {
    if logits.dims().last().is_none_or(|&vocab| vocab == 0) || ref_logits.dims() != logits.dims() {
        let (found, of_reference) = (logits.dims(), ref_logits.dims());
        bail!("expected logits [.., vocab] of policy and reference, got {found:?} and {of_reference:?}");
    }
    let logits = at_least_f32("logits", logits)?;
    let ref_logits =
        at_least_f32("the reference's logits", &ref_logits.detach())?.to_dtype(logits.dtype())?;
    let zeros = logits.zeros_like()?;
    let possible = logits.gt(f64::NEG_INFINITY)?;
    let (log_p, p) = log_softmax(&logits)?;
    let (log_q, q) = log_softmax(&ref_logits)?;
    let log_q = log_q.broadcast_as(log_p.shape())?;
    // What the policy cannot say is left with its mass under the reference, which the sum needs.
    let r = possible.where_cond(&(log_q - log_p)?, &zeros)?;

    let near = (r.abs()?.lt(1f64)? * &possible)?;
    let small = near.where_cond(&r, &zeros)?;
    let close = (&p * exp_above_tangent(&small)?)?;
    let large = near.where_cond(&zeros, &r)?;
    let far = ((q - &p)? - (p * large)?)?;
    near.where_cond(&close, &far)?.sum(D::Minus1)
}

/// log softmax and softmax over the last dimension. Where a logit is −∞ the logarithm is a harmless number and
/// the probability 0, without gradient.
fn log_softmax(logits: &Tensor) -> Result<(Tensor, Tensor)> {
    let possible = logits.gt(f64::NEG_INFINITY)?;
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let zeros = logits.zeros_like()?;
    let shifted = possible.where_cond(&shifted, &zeros)?;
    let weights = possible.where_cond(&shifted.exp()?, &zeros)?;
    let total = weights.sum_keepdim(D::Minus1)?;
    let log_total = total.log()?;
    let log_probs = shifted.broadcast_sub(&log_total)?;
    let probs = weights.broadcast_div(&total)?;
    Ok((log_probs, probs))
}
