//! How a policy does on held-out prompts: its scores, what an independent measure says of the same texts, and how far it
//! has gone from the reference.

use std::sync::Arc;

use align_data::{TokenizedTask, Tokenizer};
use align_models::CausalLm;
use align_stage::Said;
use align_train::{Error, Ranks, Result};
use serde::Serialize;

use crate::rollout::log_probs;
use crate::scoring::ScoreSource;
use crate::shares::{answered, dealt};
use crate::{LocalRollouter, Prompt, Rollout, Sampling, Scorer};

/// Held-out prompts and all that it takes to measure on them.
pub struct HeldOut<'a> {
    /// The prompts.
    pub tasks: &'a [TokenizedTask],
    /// The policy, over a view of its parameters.
    pub policy: CausalLm,
    /// The reference model: what the policy started from or is held to, where there is one.
    pub reference: Option<CausalLm>,
    /// The sampling of answers.
    pub sampling: Sampling,
    /// Answers to each prompt. One is a small sample of what a policy says: with the luck of both sides in it, a
    /// win rate over a few hundred single answers moves by several points from seed to seed.
    pub num_generations: usize,
    /// The tokenizer, which makes texts of token ids.
    pub tokenizer: &'a Tokenizer,
    /// The scorer: what training maximises.
    pub scorer: &'a Scorer,
    /// The judge, of which training knows nothing, and its name.
    pub judge: Option<(String, ScoreSource)>,
    /// Seed of the answers, the same every time.
    pub seed: u64,
}

/// A look at the policy at one moment; one number per answer, prompt by prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOutLook {
    /// The sampling of those answers.
    pub sampled: Sampled,
    /// The scores that training maximises.
    pub scores: Vec<f64>,
    /// The independent judge's name and its figures.
    pub judged: Option<(String, Vec<f64>)>,
    /// Σ log π − log π_ref over each completion.
    pub kl: Option<Vec<f64>>,
    /// Prompts with their markup, and the first answer to each.
    pub texts: Vec<Said>,
}

/// The settings of sampling that have to be the same for figures to be comparable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sampled {
    /// Held-out prompts.
    pub prompts: usize,
    /// Answers to each.
    pub num_generations: usize,
    /// The sampling temperature, by which logits are divided.
    pub temperature: f64,
    /// Longest answer, in tokens.
    pub max_new_tokens: usize,
    /// Seed of the answers.
    pub seed: u64,
}

impl HeldOut<'_> {
    /// Answers every prompt and measures the answers. All ranks do so together, each its part, and have the same figures.
    ///
    /// # Errors
    /// If the models cannot be run, an answer cannot be scored, or its KL is not finite.
    pub fn look(&self, ranks: &Ranks) -> Result<HeldOutLook> {
        let prompt =
            |(row, task): (usize, &TokenizedTask)| Prompt { row, tokens: Arc::from(task.tokens.as_slice()) };
        let prompts = self.tasks.iter().enumerate().map(prompt).collect();
        let (policy, sampling, tokenizer) = (self.policy.clone(), self.sampling.clone(), self.tokenizer);
        let mut rollouter = LocalRollouter { policy, sampling, tokenizer };
        let rollouts = answered(ranks, &mut rollouter, prompts, self.num_generations, self.seed)?;
        let judged = match &self.judge {
            None => None,
            Some((name, judge)) => Some((name.clone(), judge.scores(&rollouts, self.tasks, ranks)?)),
        };
        let kl = match &self.reference {
            None => None,
            Some(reference) => {
                let temperature = self.sampling.temperature();
                let reference = dealt(ranks, &rollouts, |own, _| log_probs(reference, own, temperature))?;
                let sum = |log_probs: &[f32]| log_probs.iter().copied().map(f64::from).sum::<f64>();
                let pairs = rollouts.completions.iter().zip(&reference);
                let kl = |(policy, reference): (&Rollout, &Vec<f32>)| {
                    sum(&policy.behaviour_log_probs) - sum(reference)
                };
                let kl: Vec<f64> = pairs.map(kl).collect();
                if let Some(place) = kl.iter().position(|kl| !kl.is_finite()) {
                    let rows = self.tasks[rollouts.prompt_of(place).row].task.prompt.origin.to_string();
                    return Err(Error::NotMeasured { metric: "kl".to_owned(), value: kl[place], rows });
                }
                Some(kl)
            }
        };
        let text = |(prompt, answers): (&Prompt, &[Rollout])| {
            let prompt_is_cut = self.tasks[prompt.row].prompt_is_cut;
            let prompt = self.tokenizer.decode(&prompt.tokens, false).map_err(Error::stage)?;
            let (answer, finished) = answers
                .first()
                .map_or_else(Default::default, |answer| (answer.text.clone(), answer.finished));
            Ok(Said { prompt, prompt_is_cut, answer, finished })
        };
        Ok(HeldOutLook {
            sampled: Sampled {
                prompts: self.tasks.len(),
                num_generations: self.num_generations,
                temperature: self.sampling.temperature(),
                max_new_tokens: self.sampling.max_new_tokens(),
                seed: self.seed,
            },
            scores: self.scorer.score(&rollouts, self.tasks, ranks)?.scores,
            judged,
            kl,
            texts: rollouts.groups().map(text).collect::<Result<_>>()?,
        })
    }
}
