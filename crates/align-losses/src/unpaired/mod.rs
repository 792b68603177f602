//! Losses on single answers that are marked desirable or not, without a partner.
//!
//! Inputs are log-ratios r = log π(y|x) − log π_ref(y|x), `[n]`, and a mask `[n]` (non-zero = desirable); results are
//! `[n]`, the caller reduces. Gradients flow through the log-ratios; hold the reference constant when taking them.
//!
//! Weights multiply the losses afterwards: KTO's two numbers ([`desirability_weighted`]), BCO's weight per answer
//! ([`density_ratio_weights`]).

mod moments;

use candle_core::{DType, Result, Tensor, bail};

use crate::checks::{
    at_least_f32, between_0_and_1, condition, constant_like, finite, not_negative, positive, same_shape,
};
use crate::numerics::{log_sigmoid, sigmoid};

pub use moments::RunningMoments;

/// Kahneman–Tversky optimization (Ethayarajh et al. 2024, arXiv:2402.01306, eq. 7).
///
/// ℓ = 1 − σ(β·(r − z)) if desirable, 1 − σ(β·(z − r)) if not; z = `kl`, a scalar from [`kto_kl`], held constant
///
/// Returns `[n]`, unweighted.
///
/// # Errors
/// If the shapes differ, `kl` is not one number, or β is not a positive number.
pub fn kto(log_ratios: &Tensor, desirable: &Tensor, kl: &Tensor, beta: f64) -> Result<Tensor> {
    let log_ratios = checked(log_ratios, desirable)?;
    if kl.elem_count() != 1 {
        bail!("expected kl to be one number, got {:?}", kl.dims());
    }
    let kl = constant_like("kl", kl, &log_ratios)?.reshape(())?;
    let rewards = (log_ratios.broadcast_sub(&kl)? * positive("beta", beta)?)?;
    sigmoid(&towards(&rewards, desirable)?.neg()?)
}

/// KTO's reference point z: max(0, mean(log π(y′|x) − log π_ref(y′|x))) over mismatched answers y′ (the
/// paper's estimate of z_0), a detached scalar.
///
/// Log-probs `[n]` of prompts with *another* prompt's answer, under policy and reference. A window of several
/// micro-batches should use one z: TRL takes the mean over all of a step's rows on all devices.
///
/// # Errors
/// If the shapes differ, there are no rows, or a tensor is not of a floating type.
pub fn kto_kl(policy_log_probs: &Tensor, reference_log_probs: &Tensor) -> Result<Tensor> {
    same_shape("the reference's log-probs", reference_log_probs, "the policy's", policy_log_probs)?;
    if policy_log_probs.elem_count() == 0 {
        bail!("expected log-probs of at least one mismatched answer, got none");
    }
    let policy = at_least_f32("the policy's log-probs", &policy_log_probs.detach())?;
    let reference = constant_like("the reference's log-probs", reference_log_probs, &policy)?;
    (policy - reference)?.mean_all()?.maximum(0f64)
}

/// APO-zero on single answers (D'Oosterlinck et al. 2024, arXiv:2408.06266; TRL's `apo_zero_unpaired`): [`kto`] with
/// the reference point 0.
///
/// ℓ = 1 − σ(β·r) if desirable, σ(β·r) if not
///
/// Returns `[n]`.
///
/// # Errors
/// As [`kto`].
pub fn apo_zero_unpaired(log_ratios: &Tensor, desirable: &Tensor, beta: f64) -> Result<Tensor> {
    kto(log_ratios, desirable, &Tensor::new(0f64, log_ratios.device())?, beta)
}

/// Binary classifier optimization (Jung et al. 2024, arXiv:2404.04656, section 4).
///
/// ℓ = −log σ(β·r − δ) if desirable, −log σ(δ − β·r) if not
///
/// Returns `[n]`. δ is the running mean of all rewards β·r, [`RunningMoments::mean`] after this batch's update.
///
/// # Errors
/// If the shapes differ, β is not a positive number or δ not finite.
pub fn bco(log_ratios: &Tensor, desirable: &Tensor, beta: f64, delta: f64) -> Result<Tensor> {
    let (beta, delta) = (positive("beta", beta)?, finite("delta", delta)?);
    let rewards = checked(log_ratios, desirable)?.affine(beta, -delta)?;
    log_sigmoid(&towards(&rewards, desirable)?)?.neg()
}

/// Losses `[n]` times KTO's λ_D where desirable and λ_U elsewhere, against an imbalance of the two.
///
/// # Errors
/// If the shapes differ or a weight is negative.
pub fn desirability_weighted(
    losses: &Tensor,
    desirable: &Tensor,
    desirable_weight: f64,
    undesirable_weight: f64,
) -> Result<Tensor> {
    let losses = checked(losses, desirable)?;
    condition(desirable)?.where_cond(
        &(&losses * not_negative("desirable_weight", desirable_weight)?)?,
        &(&losses * not_negative("undesirable_weight", undesirable_weight)?)?,
    )
}

/// BCO's weights against a shift between the prompts of desirable and undesirable answers ("underlying
/// distribution matching"): clamp(p/(1 − p), `min`, `max`) where undesirable, 1 where desirable.
///
/// `probabilities` `[n]`: that the prompt is one of a desirable answer, from a classifier on prompts. Returns `[n]` in
/// their type, detached. TRL's defaults are `min` 0.5 and `max` 10.
///
/// # Errors
/// If the shapes differ, a probability is outside [0, 1], or not 0 ≤ `min` ≤ `max`.
pub fn density_ratio_weights(
    probabilities: &Tensor,
    desirable: &Tensor,
    min: f64,
    max: f64,
) -> Result<Tensor> {
    let probabilities = checked(&probabilities.detach(), desirable)?;
    if not_negative("min", min)? > not_negative("max", max)? {
        bail!("expected min to be at most max, got {min} and {max}");
    }
    for probability in probabilities.to_dtype(DType::F64)?.to_vec1()? {
        between_0_and_1("probabilities", probability)?;
    }
    // TRL's 10⁻⁸ against p = 1.
    let ratios = (&probabilities / probabilities.affine(-1.0, 1.0 + 1e-8)?)?.clamp(min, max)?;
    condition(desirable)?.where_cond(&ratios.ones_like()?, &ratios)
}

/// The values, `[n]` as the mask, in at least f32.
fn checked(values: &Tensor, desirable: &Tensor) -> Result<Tensor> {
    values.dims1()?;
    same_shape("desirable", desirable, "the answers", values)?;
    at_least_f32("values", values)
}

/// x where desirable, −x elsewhere.
fn towards(x: &Tensor, desirable: &Tensor) -> Result<Tensor> {
    condition(desirable)?.where_cond(x, &x.neg()?)
}
