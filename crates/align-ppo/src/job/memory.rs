//! What takes memory in an on-policy run.

use align_data::TokenizedTask;
use align_models::RewardHead;
use align_models::footprint::PassSize;
use align_stage::{Frozen, MemoryNeeds, Opening, Result, Second, open_model_dir, open_reference};

use super::Job;
use crate::ValueModel;

/// Completions that are decoded together at most.
const DECODED: usize = 64;

impl Job {
    /// Prompts with answers of `most` tokens, in any order; the reference, the reward model, and the critic.
    pub(super) fn memory_needs(
        &self,
        opening: &Opening<'_>,
        (has_critic, most): (bool, usize),
        (train, held_out): (&[TokenizedTask], &[TokenizedTask]),
    ) -> Result<MemoryNeeds> {
        let size = |row: &TokenizedTask| PassSize { tokens: row.tokens.len() + most, rows: most };
        let longest = train.iter().chain(held_out).map(|row| row.tokens.len()).max().unwrap_or(0);
        let own = match &self.rollout.ref_model {
            Some(name) => Some(open_reference(opening, name)?.weight_bytes()?),
            None => None,
        };
        // What is no model of ours, or cannot be read, says so where it is opened.
        let rewards = self.reward.reward_model_path.as_ref().and_then(|name| {
            let dir = open_model_dir(&opening.hub.model(name, "main").ok()?, &opening.hub).ok()?;
            let head = dir.reward_head().ok().flatten().unwrap_or(RewardHead::Linear);
            Some((dir.weight_bytes().ok()?.total(), dir.trained_shapes(Some(head)).ok()?, dir))
        });
        let config = opening.model.decoder_config();
        let linear = RewardHead::Linear.weight_shapes(config.hidden);
        let second = match (has_critic, self.ppo.value_model, &rewards) {
            (false, ..) => None,
            (true, Some(ValueModel::Head), _) | (true, None, None) => {
                Some(Second { config: config.clone(), trained: linear, has_layers: false })
            }
            (true, _, rewards) => rewards.as_ref().map(|(_, trained, dir)| {
                let adapter =
                    opening.model.is_adapter().then(|| opening.model.trained_shapes(None).ok()).flatten();
                let trained = adapter.map_or_else(|| trained.clone(), |adapter| [adapter, linear].concat());
                Second { config: dir.decoder_config().clone(), trained, has_layers: true }
            }),
        };
        Ok(MemoryNeeds {
            train: train.iter().map(size).collect(),
            any_order: true,
            reference: Some(Frozen { own, in_advance: false, moves: false, may_be_in_advance: false }),
            others: rewards.as_ref().map_or(0, |(bytes, ..)| *bytes),
            cached_tokens: DECODED * (longest + most),
            of_micro_batch: Some("the completions of a phase are counted in micro-batches".to_owned()),
            second,
            ..MemoryNeeds::default()
        })
    }
}
