//! Which sequences and tokens a loss leaves out: factors of 1 and 0, detached, to multiply losses with.
//!
//! They multiply the loss before it is reduced; the divisor keeps counting what was left out, as in TRL.

use candle_core::{Result, Tensor, bail};

use super::ratio::log_ratios;
use super::{like, on_host};
use crate::checks::{constant_like, finite, same_shape};
use crate::sequence::Sequences;

/// Off-policy sequence masking (DeepSeek-V3.2, arXiv:2512.02556, section 3.1): `[sequences]`, 0 where the
/// advantage is negative and the policy has gone further than `threshold` from the one that sampled, by the mean
/// of log π_sample − log π over the tokens. Pushing down what the policy would hardly say any more teaches
/// nothing and unsettles it.
///
/// Log-probs are of [`Sequences::dims`], advantages `[sequences]`. A sampling log-prob that is NaN was not
/// recorded and says nothing.
///
/// # Errors
/// If the shapes do not fit the sequences, a tensor is not of a floating type, or the threshold is not finite.
pub fn off_policy_mask(
    log_probs: &Tensor,
    sampling_log_probs: &Tensor,
    advantages: &Tensor,
    sequences: &Sequences,
    threshold: f64,
) -> Result<Tensor> {
    let threshold = finite("threshold", threshold)?;
    let divergence = log_ratios(&log_probs.detach(), sampling_log_probs, sequences)?.neg()?;
    let known = divergence.eq(&divergence)?;
    let divergence = sequences.means(&known.where_cond(&divergence, &divergence.zeros_like()?)?)?;
    same_shape("advantages", advantages, "the sequences", &divergence)?;
    let advantages = constant_like("advantages", advantages, &divergence)?;
    advantages.ge(0f64)?.maximum(&divergence.le(threshold)?)?.to_dtype(divergence.dtype())
}

/// The tokens of highest entropy ("Beyond the 80/20 Rule", arXiv:2506.01939; TRL's `top_entropy_quantile`): 1
/// for those at or above the quantile 1 − `share` of the entropies that count, else 0; of [`Sequences::dims`].
///
/// The quantile is interpolated linearly between the two nearest entropies (numpy's default) and taken in f32
/// even of entropies in f64, because that is what decides about a token exactly on it in TRL.
///
/// # Errors
/// If the entropies are not of the sequences' tokens or the share is not in (0, 1].
pub fn top_entropy_mask(entropies: &Tensor, sequences: &Sequences, share: f64) -> Result<Tensor> {
    if !(share > 0.0 && share <= 1.0) {
        bail!("expected a share of tokens in (0, 1], got {share}");
    }
    let entropies = sequences.counted(&entropies.detach())?;
    let values = on_host(&entropies)?;
    let positions: Vec<usize> = sequences.positions()?.into_iter().flatten().collect();
    let mut sorted: Vec<f32> = positions.iter().map(|&position| values[position] as f32).collect();
    sorted.sort_by(f32::total_cmp);
    // All of them is all of them, also where f32 rounds the smallest one up.
    let threshold = if share < 1.0 { f64::from(quantile(&sorted, 1.0 - share)) } else { f64::NEG_INFINITY };
    let mut kept = vec![0.0; values.len()];
    for position in positions {
        kept[position] = f64::from(values[position] >= threshold);
    }
    like(kept, &entropies)
}

/// Of sorted values, as `torch.quantile` has it: at the rank q·(n − 1), linearly between neighbours.
fn quantile(sorted: &[f32], q: f64) -> f32 {
    let Some(last) = sorted.len().checked_sub(1) else { return f32::INFINITY };
    let rank = q as f32 * last as f32;
    let (below, above) = (sorted[rank.floor() as usize], sorted[(rank.ceil() as usize).min(last)]);
    let weight = rank - rank.floor();
    // From the nearer end, so that both ends are met exactly.
    if weight < 0.5 { below + weight * (above - below) } else { above - (1.0 - weight) * (above - below) }
}
