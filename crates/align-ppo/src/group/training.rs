//! A phase of the critic-free family: rewards, advantages, updates.

use std::fs;
use std::path::Path;

use align_models::{CausalLm, Packed};
use align_train::{Error, Metrics, Ranks, Result, Updater};
use candle_core::Tensor;

use super::metrics::reward_metrics;
use super::{GroupBatch, GroupCompletion, GroupConfig, GroupObjective, KlPenalty, soft_overlong_punishment};
use crate::{Learned, Method, Phase};

const STATE: &str = "group.json";

/// A member of the family at work on a policy.
pub struct GroupTraining {
    objective: GroupObjective,
    config: GroupConfig,
    beta: f64,
}

impl GroupTraining {
    /// Over a policy's tracked parameters.
    pub fn new(policy: CausalLm, config: GroupConfig) -> Self {
        let beta = config.penalty.beta();
        let in_loss = if matches!(config.penalty, KlPenalty::Loss(_)) { beta } else { 0.0 };
        let objective = GroupObjective::new(policy, config.loss, in_loss, config.temperature);
        Self { objective, config, beta }
    }

    fn set_beta(&mut self, beta: f64) {
        self.beta = beta;
        if matches!(self.config.penalty, KlPenalty::Loss(_)) {
            self.objective.set_beta(beta);
        }
    }

    /// Rewards of the completions: their scores, less what their length costs.
    fn rewards(&self, phase: &Phase<'_>) -> Vec<f64> {
        let Some(cache) = self.config.soft_punish_cache else { return phase.scores.to_vec() };
        let max = self.config.max_completion_length;
        let lengths = phase.rollouts.completions.iter().map(|completion| completion.tokens.len());
        lengths
            .zip(phase.scores)
            .map(|(length, score)| score + soft_overlong_punishment(length, max, cache))
            .collect()
    }

    /// The update windows of a phase: of the micro-batches of completions, in their order, those that are this rank's. A
    /// micro-batch of which nothing is in the loss is counted with its neighbour; a window of such ones is none.
    fn windows(&self, phase: &Phase<'_>, advantages: &[f64], ranks: &Ranks) -> Result<Vec<Vec<GroupBatch>>> {
        let rollouts = phase.rollouts;
        let completion = |number: usize| {
            let rollout = &rollouts.completions[number];
            GroupCompletion {
                prompt: &rollouts.prompt_of(number).tokens,
                tokens: &rollout.tokens,
                advantage: advantages[number],
                old_log_probs: Some(&phase.old_log_probs[number]),
                reference_log_probs: phase.reference_log_probs.get(number).map(Vec::as_slice),
                counts: rollout.finished || !self.config.mask_truncated,
            }
        };
        let row = |number: usize| {
            format!("{} (completion {})", phase.origin(number), number % rollouts.num_generations + 1)
        };
        let numbers: Vec<usize> = (0..rollouts.completions.len()).collect();
        let mut windows = Vec::new();
        for window in numbers.chunks(self.config.completions_per_update()) {
            let batches = window.chunks(self.config.per_device_train_batch_size).map(|numbers| {
                let completions: Vec<_> = numbers.iter().map(|&number| completion(number)).collect();
                GroupBatch::new(&completions, numbers.iter().map(|&number| row(number)).collect())
            });
            let batches = batches.collect::<candle_core::Result<Vec<_>>>()?;
            let (empty, mut batches): (Vec<_>, Vec<_>) = batches.into_iter().partition(GroupBatch::is_empty);
            if let Some(first) = batches.first_mut() {
                empty.iter().for_each(|empty| first.absorb(empty));
                let own = batches.into_iter().enumerate().filter(|(number, _)| ranks.has(*number));
                windows.push(own.map(|(_, batch)| batch).collect());
            }
        }
        Ok(windows)
    }
}

/// Σ log π − log π_ref over each completion's tokens, before the phase's updates; none without a reference.
fn divergences(phase: &Phase<'_>) -> Option<Vec<f64>> {
    let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
    let completions = phase.old_log_probs.iter().zip(phase.reference_log_probs);
    let divergence = completions.map(|(old, reference)| sum(old) - sum(reference));
    (!phase.reference_log_probs.is_empty()).then(|| divergence.collect())
}

impl Method for GroupTraining {
    fn name(&self) -> &'static str {
        self.config.algorithm.name()
    }

    fn num_generations(&self) -> usize {
        self.config.num_generations
    }

    fn completions_per_phase(&self) -> usize {
        self.config.completions_per_phase()
    }

    fn max_num_gen_batches(&self) -> usize {
        self.config.max_num_gen_batches
    }

    fn updates_per_phase(&self) -> usize {
        self.config.updates_per_phase()
    }

    fn needs_reference(&self) -> bool {
        self.beta != 0.0
    }

    fn micro_batch_size(&self) -> usize {
        self.config.per_device_train_batch_size
    }

    fn log_probs(&self, packed: &Packed) -> Result<Tensor> {
        Ok(self.objective.log_probs(packed)?.0)
    }

    fn learn(&mut self, phase: &Phase<'_>, updater: &mut Updater) -> Result<Learned> {
        let num_generations = phase.rollouts.num_generations;
        let mut metrics = Metrics::default();
        let rewards = self.rewards(phase);
        metrics.merge(&reward_metrics(&rewards, num_generations));
        let divergences = divergences(phase);
        if let Some(divergences) = &divergences {
            metrics.mean("objective/kl", divergences.iter().sum(), divergences.len() as f64);
            if matches!(self.config.penalty, KlPenalty::Reward(_)) {
                // Where it is in the loss, the loss reports it.
                let tokens = phase.rollouts.completion_tokens() as f64;
                metrics.mean("kl", divergences.iter().sum(), tokens);
            }
        }
        let rewards = match (self.config.penalty, &divergences) {
            (KlPenalty::Reward(_), Some(kl)) => align_losses::kl_penalized_rewards(&rewards, kl, self.beta)?,
            _ => rewards,
        };
        let advantages = self.config.baseline.advantages(&rewards, num_generations)?;
        let windows = self.windows(phase, &advantages, updater.ranks())?;
        let mut updates = Vec::new();
        for _ in 0..self.config.num_iterations {
            for window in &windows {
                updates.push(updater.update(&mut self.objective, window)?);
            }
        }
        Ok(Learned { updates, metrics })
    }

    fn kl_coef(&self) -> f64 {
        self.beta
    }

    fn raise_kl(&mut self, factor: f64) {
        self.set_beta(self.beta * factor);
    }

    fn save_state(&self, dir: &Path) -> Result<()> {
        Ok(align_files::write_json(dir.join(STATE), &serde_json::json!({ "beta": self.beta }))?)
    }

    fn restore_state(&mut self, dir: &Path) -> Result<()> {
        let path = dir.join(STATE);
        let text = fs::read_to_string(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let state: serde_json::Value = serde_json::from_str(&text).map_err(Error::stage)?;
        let beta = state["beta"]
            .as_f64()
            .ok_or_else(|| Error::stage(format!("{}: has no `beta`", path.display())))?;
        self.set_beta(beta);
        Ok(())
    }
}
