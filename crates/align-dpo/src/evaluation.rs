//! What is measured on held-out pairs: the objective itself, the KL from the reference on what the policy
//! now says, and a few texts to look at.

use align_data::{BatchSize, MicroBatches, Order, SamplingStrategy, TokenizedPair, Tokenizer};
use align_models::generation::{GenerationOptions, generate};
use align_models::{CausalLm, divergence};
use align_train::{Error, Evaluate, Metrics, Result, evaluate};
use serde::Serialize;

use crate::{PairBatches, Preference};

/// Held-out pairs and the models that are compared on them.
pub struct HeldOut<'a> {
    /// The pairs.
    pub pairs: &'a [TokenizedPair],
    /// The objective over a view of the policy, and a live reference.
    pub objective: Preference<'a>,
    /// A view of the policy.
    pub policy: CausalLm,
    /// The reference as a model.
    pub reference: &'a CausalLm,
    /// Tokens that end a completion.
    pub eos: &'a [u32],
    /// Pairs per pass.
    pub batch_size: usize,
    /// How many prompts are completed to measure the KL; 0 for no measurement.
    pub num_kl_prompts: usize,
    /// Longest sampled completion.
    pub max_new_tokens: usize,
    /// What sampling depends on, beside the step.
    pub seed: u64,
}

/// The figures of one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Share of pairs whose chosen answer has the higher implicit reward; ties count half.
    pub accuracy: f64,
    /// Mean difference of the implicit rewards.
    pub margin: f64,
    /// KL from the reference in nats per completion, where it is measured.
    pub kl: Option<f64>,
}

/// A held-out prompt and what was said to it.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The prompt, with its markup.
    pub prompt: String,
    /// The policy's most likely completion before training.
    pub before: String,
    /// And after it.
    pub after: String,
}

impl HeldOut<'_> {
    /// The headline figures after `step` updates.
    ///
    /// # Errors
    /// As [`Evaluate::evaluate`].
    pub fn measure(&mut self, step: usize) -> Result<Measured> {
        let metrics = self.evaluate(step)?;
        let figure = |name: &str| metrics.get(name).unwrap_or(f64::NAN);
        Ok(Measured {
            accuracy: figure("rewards/accuracies"),
            margin: figure("rewards/margins"),
            kl: metrics.get("kl"),
        })
    }

    /// The policy's most likely completions of the first `count` different prompts, each with its prompt.
    ///
    /// # Errors
    /// If a prompt is too long for the model.
    pub fn greedy_texts(&self, tokenizer: &Tokenizer, count: usize) -> Result<Vec<(String, String)>> {
        let prompts = self.prompts(count);
        let options = GenerationOptions::greedy(self.max_new_tokens);
        let completions =
            generate(&self.policy, &prompts, self.eos, &options, self.seed).map_err(Error::stage)?;
        let text = |ids: &[u32], skip| tokenizer.decode(ids, skip).map_err(Error::stage);
        let pair = |(prompt, completion): (&Vec<u32>, &align_models::generation::Completion)| {
            Ok((text(prompt, false)?, text(&completion.tokens, true)?))
        };
        prompts.iter().zip(&completions).map(pair).collect()
    }

    /// The first `count` different prompts that leave room for a completion.
    fn prompts(&self, count: usize) -> Vec<Vec<u32>> {
        let room = self.policy.decoder().config().max_positions.saturating_sub(self.max_new_tokens);
        let mut prompts: Vec<Vec<u32>> = Vec::new();
        for pair in self.pairs.iter().filter(|pair| pair.prompt.len() <= room) {
            if prompts.len() == count {
                break;
            }
            if !prompts.contains(&pair.prompt) {
                prompts.push(pair.prompt.clone());
            }
        }
        prompts
    }
}

impl Evaluate for HeldOut<'_> {
    fn evaluate(&mut self, step: usize) -> Result<Metrics> {
        let lengths = self.pairs.iter().map(TokenizedPair::token_count).collect();
        let order = Order { strategy: SamplingStrategy::Sequential, seed: 0 };
        let batches = MicroBatches::new(lengths, BatchSize::Examples(self.batch_size), order);
        let mut metrics =
            evaluate(&self.objective, &mut PairBatches::new(self.pairs, batches.map_err(Error::stage)?))?;
        let prompts = self.prompts(self.num_kl_prompts);
        if !prompts.is_empty() {
            let seed = self.seed.wrapping_add(step as u64);
            let divergence =
                divergence(&self.policy, self.reference, &prompts, self.eos, self.max_new_tokens, seed);
            let divergence = divergence.map_err(Error::stage)?;
            metrics.mean("kl", divergence.kl, 1.0);
            metrics.mean("kl_k3", divergence.kl_k3, 1.0);
        }
        Ok(metrics)
    }
}
