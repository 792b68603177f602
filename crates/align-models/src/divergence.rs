//! How far a policy has moved from its reference, measured on what the policy itself says.

use align_losses::{k1, k3, sequence_log_probs};
use candle_core::Tensor;

use crate::generation::{Completion, GenerationOptions, generate};
use crate::{CausalLm, Packed, Result};

/// Completions scored together, in tokens: bounds the memory of the measurement.
const TOKENS_PER_PASS: usize = 4096;

/// KL(π ‖ π_ref) in nats, estimated on completions that the policy sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// Mean over completions of the summed k1 = log π − log π_ref per token. Unbiased; negative only by
    /// chance.
    pub kl: f64,
    /// The same with k3, which is never negative.
    pub kl_k3: f64,
    /// What was sampled, one per prompt.
    pub completions: Vec<Completion>,
}

/// Samples one completion of at most `max_new_tokens` per prompt at temperature 1 and compares the two
/// models' log-probs on it (Schulman 2020, <http://joschu.net/blog/kl-approx.html>).
///
/// # Errors
/// As [`generate`].
pub fn divergence(
    policy: &CausalLm,
    reference: &CausalLm,
    prompts: &[Vec<u32>],
    eos: &[u32],
    max_new_tokens: usize,
    seed: u64,
) -> Result<Divergence> {
    let completions = generate(policy, prompts, eos, &GenerationOptions::sampled(max_new_tokens), seed)?;
    let (mut kl, mut kl_k3) = (0.0, 0.0);
    for packed in passes(prompts, &completions) {
        let (own, other) = (policy.token_log_probs(&packed)?, reference.token_log_probs(&packed)?);
        let total = |tokens: Tensor| -> Result<f64> {
            let sums = sequence_log_probs(&tokens, &packed.targets.sequences, packed.sequences)?;
            Ok(f64::from(sums.sum_all()?.to_scalar::<f32>()?))
        };
        kl += total(k1(&own, &other)?)?;
        kl_k3 += total(k3(&own, &other)?)?;
    }
    let count = prompts.len().max(1) as f64;
    Ok(Divergence { kl: kl / count, kl_k3: kl_k3 / count, completions })
}

/// The completions in packed batches of bounded size.
fn passes(prompts: &[Vec<u32>], completions: &[Completion]) -> Vec<Packed> {
    let mut passes = vec![Packed::default()];
    for (prompt, completion) in prompts.iter().zip(completions) {
        if passes.last().is_some_and(|packed| packed.stream.tokens.len() >= TOKENS_PER_PASS) {
            passes.push(Packed::default());
        }
        let packed = passes.last_mut().expect("there is always one");
        packed.push_completions(prompt, &[&completion.tokens]);
    }
    passes.retain(|packed| !packed.targets.is_empty());
    passes
}
