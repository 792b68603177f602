//! What is measured on held-out pairs: the objective itself, the KL from the reference on what the policy
//! now says, and a few texts to look at.

use align_data::{TokenizedPair, Tokenizer};
use align_models::generation::{GenerationOptions, generate};
use align_models::{CausalLm, Reference, divergence};
use align_stage::RowBatches;
use align_train::{Error, Evaluate, Metrics, Result, evaluate};

use crate::{DpoOptions, Method, PairBatch, Preference};

/// Prompts whose completions are compared before and after.
const COMPARED: usize = 12;

/// Temperature of those completions: what the policy usually says, without the tail of its distribution.
const TEMPERATURE: f64 = 0.7;

/// Held-out pairs and the models that are compared on them.
pub struct HeldOut<'a> {
    pairs: &'a [TokenizedPair],
    policy: CausalLm,
    reference: CausalLm,
    method: Method,
    eos: Vec<u32>,
    batch_size: usize,
    num_kl_prompts: usize,
    max_new_tokens: usize,
    seed: u64,
}

/// How things stand at one moment.
#[derive(Clone, Debug)]
pub struct Look {
    /// Share of pairs whose chosen answer has the higher implicit reward; ties count half.
    pub accuracy: f64,
    /// Mean difference of the implicit rewards.
    pub margin: f64,
    /// KL from the reference in nats per completion, where it is measured.
    pub kl: Option<f64>,
    /// Number of pairs these are from.
    pub pairs: usize,
    /// Some prompts with their markup, and a completion of each.
    pub texts: Vec<(String, String)>,
}

impl<'a> HeldOut<'a> {
    /// None if there is nothing to measure on. `models` are a view of the policy and a live reference.
    ///
    /// # Errors
    /// If the options make no sense, or completions would outgrow the model's positions.
    pub fn new(
        pairs: &'a [TokenizedPair],
        models: (CausalLm, CausalLm),
        eos: Vec<u32>,
        options: &DpoOptions,
        batch_size: usize,
        seed: u64,
    ) -> Result<Option<Self>> {
        if pairs.is_empty() {
            return Ok(None);
        }
        let (policy, reference) = models;
        let method = options.method()?;
        let positions = policy.decoder().config().max_positions;
        if options.max_new_tokens >= positions {
            let problem = format!("must be less than the model's max_position_embeddings, {positions}");
            let value = options.max_new_tokens.to_string();
            return Err(Error::Option { option: "max_new_tokens", value, problem });
        }
        let DpoOptions { num_kl_prompts, max_new_tokens, .. } = *options;
        let held_out =
            Self { pairs, policy, reference, method, eos, batch_size, num_kl_prompts, max_new_tokens, seed };
        Ok(Some(held_out))
    }

    /// The headline figures after `step` updates, and a few texts.
    ///
    /// # Errors
    /// As [`Evaluate::evaluate`].
    pub fn look(&mut self, step: usize, tokenizer: &Tokenizer) -> Result<Look> {
        let metrics = self.evaluate(step)?;
        let figure = |name: &str| metrics.get(name).unwrap_or(f64::NAN);
        Ok(Look {
            accuracy: figure("rewards/accuracies"),
            margin: figure("rewards/margins"),
            kl: metrics.get("kl"),
            pairs: self.pairs.len(),
            texts: self.texts(tokenizer, COMPARED)?,
        })
    }

    /// Completions of the first `count` different prompts, each with its prompt; the same seed every time.
    fn texts(&self, tokenizer: &Tokenizer, count: usize) -> Result<Vec<(String, String)>> {
        let prompts = self.prompts(count);
        let options =
            GenerationOptions { temperature: TEMPERATURE, ..GenerationOptions::sampled(self.max_new_tokens) };
        let completions =
            generate(&self.policy, &prompts, &self.eos, &options, self.seed).map_err(Error::stage)?;
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
        let reference = Reference::Live(Box::new(self.reference.clone()));
        let objective = Preference::new(self.policy.clone(), reference, self.method);
        let mut batches = RowBatches::in_order(self.pairs, self.batch_size, PairBatch::new)?;
        let mut metrics = evaluate(&objective, &mut batches)?;
        let prompts = self.prompts(self.num_kl_prompts);
        if !prompts.is_empty() {
            let seed = self.seed.wrapping_add(step as u64);
            let divergence =
                divergence(&self.policy, &self.reference, &prompts, &self.eos, self.max_new_tokens, seed);
            let divergence = divergence.map_err(Error::stage)?;
            metrics.mean("kl", divergence.kl, 1.0);
            metrics.mean("kl_k3", divergence.kl_k3, 1.0);
        }
        Ok(metrics)
    }
}
