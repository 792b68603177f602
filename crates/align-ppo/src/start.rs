//! What must hold before the first update: the policy that is trained is the one that sampled, and the one that it is
//! held to where nothing else was named.
//!
//! Sampling, the update and the reference each compute log-probs by themselves. If they do not agree on the same tokens
//! at the start, no later figure means what it says: ratios are not those of old and new policy, and the KL has an offset.
//! The loop asks once, on the first completions, before any weight has moved.

use align_kernels::Precision;
use align_train::{Error, Result};
use candle_core::DType;

use crate::{Method, Phase};

/// How far two log-probs of one token may be apart, in nats, at temperature 1: two orders above what rounding has shown.
const TOLERANCE: f64 = 1e-2;
/// The same of products in bf16, which turn a last bit of f32 into one of bf16 where a number lies between two of those: one order
/// above what that has shown (0.013 of a token, 10⁻⁵ to 10⁻⁴ in the mean).
const TOLERANCE_BF16: f64 = 1e-1;

/// Refuses a start whose log-probs disagree. `starts_as_its_reference` says whether the reference is the model that the
/// policy starts from; `temperature` is the one of sampling, `precision` that of the models' products.
///
/// # Errors
/// With the largest difference that was found, or if the model cannot be run.
pub fn check_start(
    method: &dyn Method,
    phase: &Phase<'_>,
    temperature: f64,
    precision: Precision,
    starts_as_its_reference: bool,
) -> Result<()> {
    // Logits, and with them their rounding, are divided by it.
    let tolerance = match precision {
        Precision::F32 => TOLERANCE,
        Precision::Bf16 => TOLERANCE_BF16,
    };
    let tolerance = tolerance / temperature.min(1.0);
    let completions = &phase.rollouts.completions;
    let first = method.micro_batch_size().min(completions.len());
    let numbers: Vec<usize> = (0..first).collect();
    let found = method.log_probs(&phase.rollouts.pack(&numbers))?;
    let found: Vec<f32> = found.detach().to_dtype(DType::F32)?.to_vec1()?;
    let recorded = phase.old_log_probs[..first].concat();
    if found.len() != recorded.len() {
        let (found, recorded) = (found.len(), recorded.len());
        return Err(Error::stage(format!(
            "the update has log-probs of {found} tokens, and {recorded} were sampled"
        )));
    }
    let apart = furthest(&found, &recorded);
    if apart.is_nan() || apart > tolerance {
        return Err(Error::stage(format!(
            "the update finds other log-probs than were recorded while sampling, by up to {apart:.4} nats of a token; at \
             the first update they must be the same, and every ratio 1: either the model's weights are damaged, or policy \
             and sampler are not computed alike"
        )));
    }
    if !starts_as_its_reference || phase.reference_log_probs.is_empty() {
        return Ok(());
    }
    let apart = furthest(&phase.reference_log_probs.concat(), &phase.old_log_probs.concat());
    if apart.is_nan() || apart > tolerance {
        return Err(Error::stage(format!(
            "the policy starts as its own reference, so the KL between them must be 0; found log-probs up to {apart:.4} \
             nats of a token apart: policy and reference are not computed alike"
        )));
    }
    Ok(())
}

/// The largest distance of two log-probs; NaN if there is one.
fn furthest(a: &[f32], b: &[f32]) -> f64 {
    let distances = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs()));
    distances.fold(0.0, |most, distance| if distance.is_nan() || distance > most { distance } else { most })
}
