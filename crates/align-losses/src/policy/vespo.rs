//! VESPO: a smooth weight per sequence from its whole importance ratio, in place of a clip per token.

use candle_core::{Result, Tensor};

use super::ratio::log_ratios;
use crate::checks::{constant_like, not_negative, same_shape};
use crate::sequence::Sequences;

/// φ(w) = e^(λ·(1 − w))·w^k, at most 1 at w = k/λ and equal to 1 at w = 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VespoShape {
    /// The power k, not negative: how fast sequences that became unlikely fade.
    pub k: f64,
    /// The decay λ, not negative: how fast sequences that became likely fade. At least 10⁻⁴ is taken.
    pub lambda: f64,
}

/// The weight's shape by the sign of the advantage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VespoShapes {
    /// The shape for A ≥ 0. TRL's `vespo_k_pos` and `vespo_lambda_pos`: 2 and 3.
    pub positive: VespoShape,
    /// The shape for A < 0. TRL's `vespo_k_neg` and `vespo_lambda_neg`: 3 and 2.
    pub negative: VespoShape,
}

/// Losses of [`vespo`] and its weights.
#[derive(Debug, Clone)]
pub struct Vespo {
    /// Loss of each token.
    pub losses: Tensor,
    /// φ of each sequence, `[sequences]`, detached. Its mean is TRL's `vespo/phi_seq_mean`.
    pub weights: Tensor,
}

/// −sg(φ(w_i))·A_i·log π(y_it|·) per token (arXiv:2602.10693, section 4; sg holds constant), with the ratio of
/// the whole sequence log w_i = Σ_t ℓ_it, its tokens clamped to ±20 and the sum to [log 10⁻⁸, 20] as in TRL.
///
/// Log-probs and the sampling policy's are of [`Sequences::dims`], advantages `[sequences]`. Computed in the
/// logarithm of φ.
///
/// # Errors
/// If the shapes do not fit the sequences, a tensor is not of a floating type, or a k or λ is negative.
pub fn vespo(
    log_probs: &Tensor,
    old_log_probs: &Tensor,
    advantages: &Tensor,
    sequences: &Sequences,
    shapes: VespoShapes,
) -> Result<Vespo> {
    const LARGEST: f64 = 20.0;
    let smallest = 1e-8f64.ln();
    let log_probs = sequences.counted(log_probs)?;
    let of_tokens =
        log_ratios(&log_probs.detach(), old_log_probs, sequences)?.maximum(-LARGEST)?.minimum(LARGEST)?;
    let log_w = sequences.sums(&of_tokens)?.maximum(smallest)?.minimum(LARGEST)?;
    same_shape("advantages", advantages, "the sequences", &log_w)?;
    let advantages = constant_like("advantages", advantages, &log_w)?;

    let log_weights = |shape: VespoShape| {
        let lambda = not_negative("lambda", shape.lambda)?.max(1e-4);
        (&log_w * not_negative("k", shape.k)?)? + log_w.exp()?.affine(-lambda, lambda)?
    };
    let log_weights =
        advantages.ge(0f64)?.where_cond(&log_weights(shapes.positive)?, &log_weights(shapes.negative)?)?;
    let weights = log_weights.exp()?;
    let losses = (sequences.spread(&(&weights * advantages)?)? * log_probs)?.neg()?;
    Ok(Vespo { losses, weights })
}
