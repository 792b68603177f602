//! One completion: while it is decoded, and when it is complete.

use std::ops::Range;

use super::Sampler;
use crate::{Error, Result};

/// A completion: what a prompt was continued with.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The tokens, the one that ended it included.
    pub tokens: Vec<u32>,
    /// The log-prob of each token when it was picked: see [`Sampler::sample`].
    pub log_probs: Vec<f32>,
    /// Whether it ended by itself, with a token of `eos`, rather than at `max_new_tokens`.
    pub finished: bool,
}

/// A sequence on its way.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Which completion it is, counted over all prompts.
    pub(super) number: usize,
    /// Which [`Group`](super::groups::Group) has its prompt.
    pub(super) group: usize,
    /// Rows of the cache for its completion; empty until it has some.
    pub(super) lane: Range<usize>,
    /// The prompt and the completion so far.
    pub(super) tokens: Vec<u32>,
    prompt: usize,
    log_probs: Vec<f32>,
    sampler: Sampler,
}

impl Sequence {
    pub(super) fn new(number: usize, group: usize, prompt: &[u32], sampler: Sampler) -> Self {
        let (tokens, log_probs) = (prompt.to_vec(), Vec::new());
        Self { number, group, lane: 0..0, tokens, prompt: prompt.len(), log_probs, sampler }
    }

    pub(super) fn completion(&self) -> &[u32] {
        &self.tokens[self.prompt..]
    }

    /// Samples the next token; before `min_new_tokens` none of `eos`. Changes `logits`.
    ///
    /// # Errors
    /// If the logits are not finite.
    pub(super) fn extend(&mut self, logits: &mut [f32], eos: &[u32], min_new_tokens: usize) -> Result<()> {
        let forbidden = if self.completion().len() < min_new_tokens { eos } else { &[] };
        let Some(sampled) = self.sampler.sample(logits, &self.tokens, forbidden) else {
            return Err(Error::NotFinite { completion: self.number, token: self.completion().len() });
        };
        self.tokens.push(sampled.token);
        self.log_probs.push(sampled.log_prob);
        Ok(())
    }

    pub(super) fn ended_by(&self, eos: &[u32]) -> bool {
        self.completion().last().is_some_and(|token| eos.contains(token))
    }

    pub(super) fn into_completion(mut self, eos: &[u32]) -> Completion {
        let finished = self.ended_by(eos);
        Completion { tokens: self.tokens.split_off(self.prompt), log_probs: self.log_probs, finished }
    }
}
