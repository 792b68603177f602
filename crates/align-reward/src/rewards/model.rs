//! Rewards of a reward model.

use std::sync::Arc;

use align_data::{
    Candidates, DataError, TokenizeOptions, TokenizedCandidates, Tokenizer, tokenize_candidates,
};
use align_models::{Packed, RewardModel};
use candle_core::DType;

use super::{Reward, RewardError, Task};
use crate::RewardNormalization;

/// A reward model with its tokenizer.
pub struct ModelReward {
    model: RewardModel,
    tokenizer: Arc<Tokenizer>,
    options: TokenizeOptions,
    normalization: Option<RewardNormalization>,
    batch_size: usize,
}

impl ModelReward {
    /// `normalization` makes rewards comparable with those of other models; without it they are the head's own.
    /// `batch_size` is the number of prompts per pass, at least 1.
    pub fn new(
        model: RewardModel,
        tokenizer: impl Into<Arc<Tokenizer>>,
        options: TokenizeOptions,
        normalization: Option<RewardNormalization>,
        batch_size: usize,
    ) -> Self {
        Self { model, tokenizer: tokenizer.into(), options, normalization, batch_size: batch_size.max(1) }
    }

    /// The rewards of all answers of each prompt.
    ///
    /// # Errors
    /// Answers that cannot be read, or of which nothing is left after truncation: an answer without a reward would
    /// move all others of a list to another place. Rewards that are no numbers: the model's weights are damaged.
    pub fn score(&self, candidates: &[Candidates]) -> Result<Vec<Vec<f64>>, RewardError> {
        let (mut rewards, mut truncated) = (Vec::with_capacity(candidates.len()), 0);
        for batch in candidates.chunks(self.batch_size) {
            let (tokenized, report) = tokenize_candidates(batch, &self.tokenizer, &self.options)?;
            truncated += report.truncated;
            if let Some(row) =
                (0..batch.len()).find(|&row| tokenized.get(row).map(|found| found.row) != Some(row))
            {
                let reason =
                    "no token of an answer is left within the length limits, so that it has no reward; \
                    raise max_length"
                        .to_owned();
                return Err(DataError::Row { origin: batch[row].origin.clone(), reason }.into());
            }
            let scored = self.score_batch(&tokenized)?;
            for (row, rewards) in batch.iter().zip(&scored) {
                if let Some(&value) = rewards.iter().find(|reward| !reward.is_finite()) {
                    let (origin, reward) = (row.origin.to_string(), self.name().to_owned());
                    return Err(RewardError::NotFinite { origin, reward, value });
                }
            }
            rewards.extend(scored);
        }
        if truncated > 0 {
            tracing::warn!(
                "{truncated} of {} rows from {} on are longer than the model is given: what was cut has no part in the \
                 reward",
                candidates.len(),
                candidates[0].origin
            );
        }
        Ok(rewards)
    }

    fn score_batch(&self, rows: &[TokenizedCandidates]) -> Result<Vec<Vec<f64>>, RewardError> {
        let mut packed = Packed::default();
        for row in rows {
            let completions: Vec<&[u32]> = row.completions.iter().map(Vec::as_slice).collect();
            packed.push_completions(&row.prompt, &completions);
        }
        let rewards = self.model.rewards(&packed)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        let mut rewards = rewards.into_iter().map(|reward| {
            let reward = f64::from(reward);
            self.normalization.as_ref().map_or(reward, |normalization| normalization.apply(reward))
        });
        Ok(rows.iter().map(|row| rewards.by_ref().take(row.completions.len()).collect()).collect())
    }
}

impl Reward for ModelReward {
    fn name(&self) -> &str {
        "model"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        let candidates: Vec<Candidates> = tasks.iter().map(|task| task.candidates.clone()).collect();
        self.score(&candidates)
    }
}
