//! How far a policy has moved from its reference, measured on what the policy itself says.

use align_losses::{k1, k3, sequence_log_probs};
use candle_core::Tensor;

use crate::generation::{Completion, GenerationOptions, generate};
use crate::{CausalLm, Error, Packed, Result};

/// Completions scored together, in tokens: bounds the memory of the measurement.
const TOKENS_PER_PASS: usize = 4096;

/// KL(π ‖ π_ref) in nats, estimated on completions that the policy sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Divergence {
    /// Mean over completions of the summed k1 = log π − log π_ref per token. Unbiased; negative only by
    /// chance.
    pub kl: f64,
    /// The divergence of each prompt, whose mean it is. Their spread is of the size of the mean's root: of a few
    /// dozen prompts the mean alone says little, and these are what an interval is made of.
    pub per_prompt: Vec<f64>,
    /// The mean of k3, which is never negative.
    pub kl_k3: f64,
    /// The sampled completions, one per prompt.
    pub completions: Vec<Completion>,
}

/// Samples one completion of at most `max_new_tokens` per prompt at temperature 1 and compares the two
/// models' log-probs on it (Schulman 2020, <http://joschu.net/blog/kl-approx.html>).
///
/// # Errors
/// As [`generate`]; if a model gives no finite log-probs.
pub fn divergence(
    policy: &CausalLm,
    reference: &CausalLm,
    prompts: &[Vec<u32>],
    eos: &[u32],
    max_new_tokens: usize,
    seed: u64,
) -> Result<Divergence> {
    let completions = generate(policy, prompts, eos, &GenerationOptions::sampled(max_new_tokens), seed)?;
    let (mut kl, mut kl_k3, mut per_prompt) = (0.0, 0.0, Vec::with_capacity(prompts.len()));
    for packed in passes(prompts, &completions) {
        let (own, other) = (policy.token_log_probs(&packed)?, reference.token_log_probs(&packed)?);
        let sums = |tokens: Tensor| sequence_log_probs(&tokens, &packed.targets.sequences, packed.sequences);
        let total = |sums: &Tensor| -> Result<f64> { Ok(f64::from(sums.sum_all()?.to_scalar::<f32>()?)) };
        let of_completions = sums(k1(&own, &other)?)?;
        kl += total(&of_completions)?;
        kl_k3 += total(&sums(k3(&own, &other)?)?)?;
        per_prompt.extend(of_completions.to_vec1::<f32>()?.into_iter().map(f64::from));
    }
    let count = prompts.len().max(1) as f64;
    let (kl, kl_k3) = (kl / count, kl_k3 / count);
    if !kl.is_finite() {
        return Err(Error::Config(format!(
            "the KL from the reference is {kl}: one of the two models gives no finite log-probs"
        )));
    }
    Ok(Divergence { kl, per_prompt, kl_k3, completions })
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
