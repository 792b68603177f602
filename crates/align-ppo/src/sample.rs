//! What is kept of a completion for people to read: a line of `samples.jsonl`.

use serde::{Deserialize, Serialize};

/// A completion with its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Number of the phase that it was sampled in, from 0.
    pub phase: usize,
    /// Updates made before it was sampled.
    pub step: usize,
    /// The row of its prompt, as `file:line`.
    pub origin: String,
    /// The prompt, with its markup.
    pub prompt: String,
    /// What the policy said.
    pub completion: String,
    /// Its score, penalties included; null where no reward applied to it.
    pub score: Option<f64>,
    /// Its tokens.
    pub tokens: usize,
    /// Whether it ended by itself.
    pub finished: bool,
}
