//! Best of N: what is gained by sampling N answers and keeping the one with the highest reward.

use serde::{Deserialize, Serialize};

/// The curve of one model under one reward.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestOf {
    /// The model that answers.
    pub model: String,
    /// The source of the reward that picks: a reward model's name, a rule.
    pub reward_source: String,
    /// The source of the quality that the picked answers are measured by besides, if there is one: the true quality
    /// where a reward is a stand-in.
    pub quality_source: Option<String>,
    /// Prompts.
    pub prompts: usize,
    /// The points, by rising N.
    pub points: Vec<BestOfPoint>,
}

/// The best of N answers, on average over prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestOfPoint {
    /// Answers sampled per prompt.
    pub n: usize,
    /// The expected largest reward of N.
    pub reward: f64,
    /// The quality of the answer that has it.
    pub quality: Option<f64>,
    /// log N − (N − 1)/N: an upper bound of the KL from the model itself in nats (Beirami et al. 2024, arXiv:2401.01879).
    pub kl: f64,
}
