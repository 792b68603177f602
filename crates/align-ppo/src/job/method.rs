//! Which method trains: PPO, one of the critic-free family, or online DPO.

use align_models::generation::GenerationOptions;
use align_stage::{Given, Result};
use align_train::TrainOptions;
use serde::Serialize;
use serde_json::Value;

use super::Job;
use super::models::Models;
use crate::{
    GroupAlgorithm, GroupConfig, GroupOptions, GroupSetting, GroupTraining, Method, OnlineDpo,
    OnlineDpoConfig, PPO_LEARNING_RATE, Ppo, PpoConfig, PpoOptions, Sampling, Supervised,
};

/// TRL's default learning rates.
const GROUP_LEARNING_RATE: f64 = 1e-6;
const ONLINE_DPO_LEARNING_RATE: f64 = 5e-7;
/// TRL's default β of online DPO.
const ONLINE_DPO_BETA: f64 = 0.1;

/// A method by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum MethodName {
    /// Proximal policy optimization, with a critic
    Ppo,
    /// Group relative policy optimization, with any loss of TRL's GRPOTrainer
    Grpo,
    /// GRPO without deviation and lengths
    DrGrpo,
    /// GRPO with clip-higher, token-level loss, truncated completions left out
    Dapo,
    /// GRPO with a ratio per completion
    Gspo,
    /// A capped ratio as the weight of the log-probs
    Cispo,
    /// REINFORCE with the group's other completions as baseline
    Rloo,
    /// REINFORCE with advantages over the whole phase
    ReinforcePp,
    /// DPO on pairs of own completions, the better one by its score
    OnlineDpo,
}

/// The options of the method that was chosen, checked.
pub(super) enum Chosen {
    Ppo(PpoConfig),
    Group(Box<GroupConfig>),
    OnlineDpo(OnlineDpoConfig),
}

impl MethodName {
    /// TRL's default for it.
    pub(super) fn default_learning_rate(self) -> f64 {
        match self {
            Self::Ppo => PPO_LEARNING_RATE,
            Self::OnlineDpo => ONLINE_DPO_LEARNING_RATE,
            _ => GROUP_LEARNING_RATE,
        }
    }

    /// Checks the options of the method and refuses those of others.
    pub(super) fn check(self, job: &Job, given: &Given, ranks: usize) -> Result<Chosen> {
        let Job { ppo, group, train, .. } = job;
        let TrainOptions { per_device_train_batch_size, gradient_accumulation_steps, .. } = *train;
        let because = format!("with `method` = {}", self.name());
        if self == Self::Ppo {
            refuse(given, GroupOptions::NAMES, &[], &because)?;
            let config = ppo.check(per_device_train_batch_size, gradient_accumulation_steps, ranks)?;
            refuse_what_ppo_ignores(&config, given)?;
            return Ok(Chosen::Ppo(config));
        }
        refuse(given, PpoOptions::NAMES, &[], &because)?;
        let generation: GenerationOptions = job.generation()?;
        let Some(algorithm) = self.algorithm() else {
            refuse(given, GroupOptions::NAMES, &["beta"], &because)?;
            let config = OnlineDpoConfig {
                beta: group.beta.unwrap_or(ONLINE_DPO_BETA),
                temperature: generation.temperature,
                per_device_train_batch_size,
                gradient_accumulation_steps,
                ranks,
            };
            return Ok(Chosen::OnlineDpo(config.check()?));
        };
        let setting = GroupSetting {
            generation: &generation,
            per_device_train_batch_size,
            gradient_accumulation_steps,
            ranks,
        };
        Ok(Chosen::Group(Box::new(group.check(algorithm, &setting)?)))
    }

    fn algorithm(self) -> Option<GroupAlgorithm> {
        match self {
            Self::Ppo | Self::OnlineDpo => None,
            Self::Grpo => Some(GroupAlgorithm::Grpo),
            Self::DrGrpo => Some(GroupAlgorithm::DrGrpo),
            Self::Dapo => Some(GroupAlgorithm::Dapo),
            Self::Gspo => Some(GroupAlgorithm::Gspo),
            Self::Cispo => Some(GroupAlgorithm::Cispo),
            Self::Rloo => Some(GroupAlgorithm::Rloo),
            Self::ReinforcePp => Some(GroupAlgorithm::ReinforcePp),
        }
    }
}

impl Chosen {
    /// Whether it has a critic.
    pub(super) fn has_critic(&self) -> bool {
        matches!(self, Self::Ppo(_))
    }

    /// What there is to watch.
    pub(super) fn supervised(&self) -> Supervised {
        match self {
            Self::Ppo(config) => config.supervised(),
            Self::Group(config) => config.supervised(),
            Self::OnlineDpo(config) => config.supervised(),
        }
    }

    /// What a user must know who cuts updates into micro-batches.
    pub(super) fn notice_of_cut(&self) -> Option<String> {
        match self {
            Self::Group(config) => config.notice_of_cut(),
            Self::Ppo(_) | Self::OnlineDpo(_) => None,
        }
    }

    /// Options that were not given and whose defaults depend on the method, with their values.
    pub(super) fn defaulted(&self, job: &Job) -> Vec<(&'static str, Value)> {
        match self {
            Self::Ppo(_) => Vec::new(),
            Self::Group(config) => job.group.defaulted(config),
            Self::OnlineDpo(config) if job.group.beta.is_none() => vec![("beta", config.beta.into())],
            Self::OnlineDpo(_) => Vec::new(),
        }
    }

    /// The method over the run's models.
    pub(super) fn method(self, models: &Models, sampling: &Sampling, seed: u64) -> Result<Box<dyn Method>> {
        Ok(match self {
            Self::Ppo(config) => {
                let (tracked, view) = (models.actor_critic(true)?, models.actor_critic(false)?);
                Box::new(Ppo::new(config, tracked, view, sampling, seed))
            }
            Self::Group(config) => Box::new(GroupTraining::new(models.policy()?, *config)),
            Self::OnlineDpo(config) => Box::new(OnlineDpo::new(models.policy()?, config)),
        })
    }
}

/// Refuses options of PPO that others of its options make void.
fn refuse_what_ppo_ignores(config: &PpoConfig, given: &Given) -> Result<()> {
    if config.updates_per_phase() == 1 {
        let names = ["cliprange", "cliprange_value", "early_stop_kl"];
        let because = format!("{}: raise `num_ppo_epochs` or `num_mini_batches`", Supervised::ONE_UPDATE);
        given.refuse(&names, &because)?;
    }
    if config.loss.vf_coef == 0.0 {
        given.refuse(&["cliprange_value"], "with `vf_coef` 0 the critic is not trained")?;
    }
    if config.kl.value() == 0.0 {
        given.refuse(&["kl_estimator"], "with `kl_coef` 0 no divergence is taken off the reward")?;
    }
    Ok(())
}

/// Refuses all options of a component but those that are excepted.
fn refuse(given: &Given, names: &[&'static str], except: &[&str], because: &str) -> Result<()> {
    let names: Vec<&str> = names.iter().copied().filter(|name| !except.contains(name)).collect();
    given.refuse(&names, because)
}
