//! A member of the family, checked: what it is made of, what of it can be watched, and how it is cut into updates.

use std::collections::BTreeMap;

use align_losses::Clip;

use super::{Baseline, GroupAlgorithm, GroupLoss, PolicyLoss};
use crate::{Rule, Supervised};

/// A method of the family whose options were checked.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// The algorithm.
    pub algorithm: GroupAlgorithm,
    /// Completions of each prompt.
    pub num_generations: usize,
    /// The baseline that rewards are compared with.
    pub baseline: Baseline,
    /// The loss that is minimised.
    pub loss: GroupLoss,
    /// The KL penalty, which holds the policy to the reference.
    pub penalty: KlPenalty,
    /// Whether completions that did not end are left out of the loss.
    pub mask_truncated: bool,
    /// Samplings in a phase at most.
    pub max_num_gen_batches: usize,
    /// Tokens before the length limit that cost reward.
    pub soft_punish_cache: Option<usize>,
    /// Longest completion that is sampled, in tokens.
    pub max_completion_length: usize,
    /// The sampling temperature, by which logits were divided.
    pub temperature: f64,
    /// Times that a phase's completions are trained on.
    pub num_iterations: usize,
    /// Micro-batches of a phase, on each rank.
    pub steps_per_generation: usize,
    /// Completions per micro-batch.
    pub per_device_train_batch_size: usize,
    /// Micro-batches per update, on each rank.
    pub gradient_accumulation_steps: usize,
    /// Ranks, among which a phase is dealt.
    pub ranks: usize,
}

/// The place of the KL penalty: in the loss or in the reward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KlPenalty {
    /// k3 per token, in the loss.
    Loss(f64),
    /// k1 summed over a completion, in its reward.
    Reward(f64),
}

impl KlPenalty {
    /// Its weight.
    pub fn beta(self) -> f64 {
        let (Self::Loss(beta) | Self::Reward(beta)) = self;
        beta
    }
}

impl GroupConfig {
    /// Completions sampled in a phase, by all ranks.
    pub fn completions_per_phase(&self) -> usize {
        self.per_device_train_batch_size * self.steps_per_generation * self.ranks
    }

    /// Completions of an update, on all ranks.
    pub fn completions_per_update(&self) -> usize {
        self.per_device_train_batch_size * self.gradient_accumulation_steps * self.ranks
    }

    /// Updates made in a phase.
    pub fn updates_per_phase(&self) -> usize {
        self.num_iterations * self.steps_per_generation.div_ceil(self.gradient_accumulation_steps)
    }

    /// Completions of an update that are computed apart from each other.
    fn micro_batches_per_update(&self) -> usize {
        self.gradient_accumulation_steps.min(self.steps_per_generation) * self.ranks
    }

    /// A notice for a user who cuts updates into micro-batches, if that makes another method of the one asked for.
    pub fn notice_of_cut(&self) -> Option<String> {
        let (what, count) = (self.loss.of_micro_batch()?, self.micro_batches_per_update());
        (count > 1).then(|| {
            format!(
                "{what}: {count} micro-batches an update do not add up to one of all their completions; for that give \
                 `gradient_accumulation_steps` 1 and a larger `per_device_train_batch_size`{}",
                if self.ranks > 1 { ", on one rank" } else { "" }
            )
        })
    }

    /// Whether the policy trains on what another one sampled: the second update of a phase does.
    pub(super) fn leaves_its_samples(&self) -> bool {
        self.updates_per_phase() > 1
    }

    /// The supervision that this method allows: its rules, and those that nothing is measured for.
    pub fn supervised(&self) -> Supervised {
        let mut without = BTreeMap::from([(Rule::ValueLoss, "the method has no critic")]);
        if self.penalty.beta() == 0.0 {
            let unmeasured = "while beta is 0 no KL from the reference is measured; give a beta";
            without
                .extend([Rule::KlLevel, Rule::KlLimit, Rule::KlAcceleration].map(|rule| (rule, unmeasured)));
        }
        if !self.leaves_its_samples() {
            without.extend([Rule::ClipFraction, Rule::RatioDrift].map(|rule| (rule, Supervised::ONE_UPDATE)));
        }
        if matches!(self.loss.objective, PolicyLoss::Sapo(_) | PolicyLoss::Vespo(_)) {
            without.insert(Rule::ClipFraction, "the loss clips nothing");
        }
        Supervised { kl_penalty: self.penalty.beta() > 0.0, without }
    }

    /// The range of the ratio, where there is one on both sides.
    pub(super) fn clip(&self) -> Option<Clip> {
        match self.loss.objective {
            PolicyLoss::Clipped { clip, .. } | PolicyLoss::Gmpo(clip) | PolicyLoss::Rloo(clip) => Some(clip),
            PolicyLoss::Cispo { .. } | PolicyLoss::Sapo(_) | PolicyLoss::Vespo(_) => None,
        }
    }
}
