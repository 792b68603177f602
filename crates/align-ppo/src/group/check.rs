//! From options to a member of the family: what does not go together is refused here, with the reason.

use align_losses::{Clip, SapoTemperatures, VespoShape, VespoShapes};
use align_train::Result;

use super::algorithm::Preset;
use super::loss::Importance;
use super::options::GroupSetting;
use super::{
    Baseline, GroupAlgorithm, GroupConfig, GroupLoss, GroupLossType, GroupOptions, KlPenalty, PolicyLoss,
    Reduction, ScaleRewards,
};
use crate::Supervised;
use crate::refusal::{check_phase, no_effect, refuse};

/// Options that have an effect on every algorithm.
const OF_ALL: &[&str] = &[
    "num_generations",
    "beta",
    "mask_truncated_completions",
    "max_num_gen_batches",
    "soft_punish_cache",
    "off_policy_mask_threshold",
    "num_iterations",
    "steps_per_generation",
];

impl GroupAlgorithm {
    /// Whether the option, one of [`GroupOptions`], has an effect on it; `loss` is the one that was asked for.
    pub(super) fn uses(self, option: &str, loss: Option<GroupLossType>) -> bool {
        let loss = if self == Self::Grpo { loss.or(self.preset().loss) } else { self.preset().loss };
        match option {
            "loss_type" => self == Self::Grpo,
            "scale_rewards" => !matches!(self, Self::DrGrpo | Self::Rloo | Self::ReinforcePp),
            "normalize_advantages" => self == Self::Rloo,
            "epsilon" => loss.is_none_or(GroupLossType::clips),
            "epsilon_high" => !matches!(loss, Some(GroupLossType::Sapo | GroupLossType::Vespo)),
            "delta" => loss.is_some_and(|loss| loss.clips() && loss != GroupLossType::Gmpo),
            "importance_sampling_level" => match loss {
                Some(GroupLossType::Cispo | GroupLossType::Vespo | GroupLossType::Gmpo) | None => false,
                Some(_) => self != Self::ReinforcePp,
            },
            "sapo_temperature_pos" | "sapo_temperature_neg" => loss == Some(GroupLossType::Sapo),
            "vespo_k_pos" | "vespo_lambda_pos" | "vespo_k_neg" | "vespo_lambda_neg" => {
                loss == Some(GroupLossType::Vespo)
            }
            "top_entropy_quantile" => !matches!(loss, Some(GroupLossType::Gmpo) | None),
            "use_bias_correction_kl" => !self.preset().kl_in_reward,
            option => {
                debug_assert!(OF_ALL.contains(&option), "no method has an option `{option}`");
                true
            }
        }
    }
}

impl GroupOptions {
    /// The method, if the options make sense together.
    ///
    /// # Errors
    /// Names the option, its value and the rule it breaks.
    pub fn check(&self, algorithm: GroupAlgorithm, setting: &GroupSetting<'_>) -> Result<GroupConfig> {
        let preset = algorithm.preset();
        self.check_given(algorithm)?;
        self.check_numbers()?;
        let max_completion_length = setting.generation.max_new_tokens;
        let beta = self.beta.unwrap_or(preset.beta);
        if self.use_bias_correction_kl && beta == 0.0 {
            return no_effect("use_bias_correction_kl", true, "has no effect while beta is 0; remove it");
        }
        if let Some(cache) =
            self.soft_punish_cache.filter(|&cache| cache == 0 || cache > max_completion_length)
        {
            let problem = format!("must be from 1 to the longest completion, {max_completion_length}");
            return refuse("soft_punish_cache", cache, problem);
        }
        let config = GroupConfig {
            algorithm,
            num_generations: self.num_generations.unwrap_or(preset.num_generations),
            baseline: self.baseline(&preset),
            loss: self.loss(algorithm, &preset, max_completion_length),
            penalty: if preset.kl_in_reward { KlPenalty::Reward(beta) } else { KlPenalty::Loss(beta) },
            mask_truncated: self.mask_truncated_completions.unwrap_or(preset.mask_truncated),
            max_num_gen_batches: self.max_num_gen_batches.unwrap_or(preset.max_num_gen_batches),
            soft_punish_cache: self.soft_punish_cache,
            max_completion_length,
            temperature: setting.generation.temperature,
            num_iterations: self.num_iterations.unwrap_or(1),
            steps_per_generation: self.steps_per_generation.unwrap_or(setting.gradient_accumulation_steps),
            per_device_train_batch_size: setting.per_device_train_batch_size,
            gradient_accumulation_steps: setting.gradient_accumulation_steps,
            ranks: setting.ranks,
        };
        check_groups(&config)?;
        self.check_ratios(&config)?;
        Ok(config)
    }

    /// Refuses what only bounds a ratio where every ratio is 1.
    fn check_ratios(&self, config: &GroupConfig) -> Result<()> {
        let bounds_a_ratio = |option: &str| match option {
            "epsilon"
            | "sapo_temperature_pos"
            | "sapo_temperature_neg"
            | "vespo_k_pos"
            | "vespo_lambda_pos"
            | "vespo_k_neg"
            | "vespo_lambda_neg" => true,
            // The cap of cispo is a ratio, and may be below 1; the others are distances from it.
            "epsilon_high" => !matches!(config.loss.objective, PolicyLoss::Cispo { cap } if cap < 1.0),
            "delta" => self.delta.is_some_and(|delta| delta >= 1.0),
            "off_policy_mask_threshold" => self.off_policy_mask_threshold.is_some_and(|most| most >= 0.0),
            _ => false,
        };
        match self.given().into_iter().find(|(option, _)| bounds_a_ratio(option)) {
            Some((option, value)) if !config.leaves_its_samples() => {
                let problem = format!(
                    "has no effect: {}; remove it, or give `num_iterations` or `steps_per_generation`",
                    Supervised::ONE_UPDATE
                );
                no_effect(option, value, problem)
            }
            _ => Ok(()),
        }
    }

    fn check_given(&self, algorithm: GroupAlgorithm) -> Result<()> {
        for (option, value) in self.given() {
            if !algorithm.uses(option, self.loss_type) {
                let of_loss = match (algorithm, self.loss_type) {
                    (GroupAlgorithm::Grpo, Some(loss)) => format!(" and loss_type {}", loss.name()),
                    _ => String::new(),
                };
                let problem = format!("has no effect with method {}{of_loss}; remove it", algorithm.name());
                return no_effect(option, value, problem);
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<()> {
        let not_negative =
            [("beta", self.beta), ("epsilon", self.epsilon), ("epsilon_high", self.epsilon_high)];
        let vespo = [
            ("vespo_k_pos", self.vespo_k_pos),
            ("vespo_lambda_pos", self.vespo_lambda_pos),
            ("vespo_k_neg", self.vespo_k_neg),
            ("vespo_lambda_neg", self.vespo_lambda_neg),
        ];
        for (option, value) in not_negative.into_iter().chain(vespo) {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
                return refuse(option, value, "must be a number that is not negative");
            }
        }
        let positive = [
            ("delta", self.delta),
            ("sapo_temperature_pos", self.sapo_temperature_pos),
            ("sapo_temperature_neg", self.sapo_temperature_neg),
        ];
        for (option, value) in positive {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return refuse(option, value, "must be a positive number");
            }
        }
        if let Some(value) = self.off_policy_mask_threshold.filter(|value| !value.is_finite()) {
            return refuse("off_policy_mask_threshold", value, "must be a number");
        }
        if let Some(share) = self.top_entropy_quantile.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
            return refuse("top_entropy_quantile", share, "must be above 0 and at most 1");
        }
        for (option, value) in [
            ("num_generations", self.num_generations),
            ("num_iterations", self.num_iterations),
            ("steps_per_generation", self.steps_per_generation),
            ("max_num_gen_batches", self.max_num_gen_batches),
        ] {
            if value == Some(0) {
                return refuse(option, 0, "must be at least 1");
            }
        }
        Ok(())
    }

    fn baseline(&self, preset: &Preset) -> Baseline {
        match (preset.baseline, self.scale_rewards) {
            (Baseline::LeaveOneOut, _) if self.normalize_advantages => Baseline::LeaveOneOutWhitened,
            (Baseline::Batch, _) if self.num_generations.is_some_and(|count| count > 1) => {
                Baseline::GroupWhitened
            }
            (_, Some(ScaleRewards::Batch)) => Baseline::BatchScaled,
            (_, Some(ScaleRewards::None)) => Baseline::Group,
            (baseline, _) => baseline,
        }
    }

    fn loss(&self, algorithm: GroupAlgorithm, preset: &Preset, max_completion_length: usize) -> GroupLoss {
        let kind =
            if algorithm == GroupAlgorithm::Grpo { self.loss_type.or(preset.loss) } else { preset.loss };
        let low = self.epsilon.unwrap_or(preset.epsilon.0);
        // TRL's rule: what is given for one side holds for both, unless the algorithm has two.
        let both = if preset.epsilon.0 == preset.epsilon.1 { low } else { preset.epsilon.1 };
        let clip = Clip { low, high: self.epsilon_high.unwrap_or(both) };
        let objective = match kind {
            None => PolicyLoss::Rloo(clip),
            Some(GroupLossType::Cispo) => PolicyLoss::Cispo { cap: self.epsilon_high.unwrap_or(5.0) },
            Some(GroupLossType::Sapo) => PolicyLoss::Sapo(SapoTemperatures {
                positive: self.sapo_temperature_pos.unwrap_or(1.0),
                negative: self.sapo_temperature_neg.unwrap_or(1.05),
            }),
            Some(GroupLossType::Vespo) => PolicyLoss::Vespo(self.vespo_shapes()),
            Some(GroupLossType::Gmpo) => PolicyLoss::Gmpo(clip),
            Some(_) => PolicyLoss::Clipped { clip, delta: self.delta },
        };
        let level = if preset.sequence_level { Importance::Sequence } else { Importance::Token };
        GroupLoss {
            objective,
            importance: self.importance_sampling_level.unwrap_or(level),
            reduction: kind.map_or(Reduction::SequenceMean, |kind| kind.reduction(max_completion_length)),
            bias_corrected_kl: self.use_bias_correction_kl,
            off_policy_mask_threshold: self.off_policy_mask_threshold,
            top_entropy_quantile: self.top_entropy_quantile.filter(|share| *share < 1.0),
        }
    }

    fn vespo_shapes(&self) -> VespoShapes {
        VespoShapes {
            positive: VespoShape {
                k: self.vespo_k_pos.unwrap_or(2.0),
                lambda: self.vespo_lambda_pos.unwrap_or(3.0),
            },
            negative: VespoShape {
                k: self.vespo_k_neg.unwrap_or(3.0),
                lambda: self.vespo_lambda_neg.unwrap_or(2.0),
            },
        }
    }
}

fn check_groups(config: &GroupConfig) -> Result<()> {
    let GroupConfig { num_generations, steps_per_generation, per_device_train_batch_size, .. } = config;
    if *num_generations < 2 && config.baseline.needs_group() {
        let problem = format!(
            "must be at least 2: {} compares the completions of a prompt with each other",
            config.algorithm.name()
        );
        return refuse("num_generations", num_generations, problem);
    }
    if *num_generations < 2 && config.max_num_gen_batches > 1 {
        let problem = "has no effect with num_generations 1: one completion differs from no other; remove it";
        return no_effect("max_num_gen_batches", config.max_num_gen_batches, problem);
    }
    check_phase(&[
        ("per_device_train_batch_size", *per_device_train_batch_size),
        ("steps_per_generation", *steps_per_generation),
        ("ranks", config.ranks),
    ])?;
    let completions = config.completions_per_phase();
    if !completions.is_multiple_of(*num_generations) {
        let on = if config.ranks == 1 { String::new() } else { format!(" × {} ranks", config.ranks) };
        let problem = format!(
            "must divide the completions of a phase, per_device_train_batch_size × steps_per_generation = \
             {per_device_train_batch_size} × {steps_per_generation}{on} = {completions}"
        );
        return refuse("num_generations", num_generations, problem);
    }
    Ok(())
}
