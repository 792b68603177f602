//! What the policy said: completions with the log-probs that they were sampled with.

use std::sync::Arc;

/// A prompt that completions were sampled for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its number among the run's prompts.
    pub row: usize,
    /// Its token ids.
    pub tokens: Arc<[u32]>,
}

/// One sampled completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// Token ids, the one that ended it included.
    pub tokens: Vec<u32>,
    /// Log-prob of each token under the policy that sampled it, at the sampling temperature, before top-k and top-p.
    pub log_probs: Vec<f32>,
    /// Whether it ended by itself rather than at the length limit.
    pub finished: bool,
    /// The text, without special tokens.
    pub text: String,
}

/// The completions of one phase: `num_generations` of the first prompt, then of the second, and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rollouts {
    /// The prompts, one per group.
    pub prompts: Vec<Prompt>,
    /// Completions of each prompt; at least 1.
    pub num_generations: usize,
    /// The completions, group by group.
    pub completions: Vec<Rollout>,
}

impl Rollouts {
    /// The prompt of completion number `completion`.
    pub fn prompt_of(&self, completion: usize) -> &Prompt {
        &self.prompts[completion / self.num_generations]
    }

    /// Prompts with their completions.
    pub fn groups(&self) -> impl Iterator<Item = (&Prompt, &[Rollout])> {
        self.prompts.iter().zip(self.completions.chunks(self.num_generations))
    }
}
