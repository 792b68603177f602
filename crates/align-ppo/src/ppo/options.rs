//! The options of PPO: TRL's names, and those of its older releases for what it has since dropped.

use std::collections::BTreeMap;

use align_losses::kl::{AdaptiveKl, FixedKl, KlController};
use align_train::{Error, Result};
use candle_core::Result as TensorResult;
use serde::Serialize;

use super::PpoLoss;
use crate::experience::{Estimation, KlEstimator, ScorePosition};
use crate::refusal::check_phase;
use crate::{Rule, Supervised};

/// TRL's default for PPO.
pub const PPO_LEARNING_RATE: f64 = 3e-6;

/// The penalty's coefficient where nobody chose one: TRL's, fixed, and that of Ziegler et al., steered.
const KL_COEF: [f64; 2] = [0.05, 0.2];
const TARGET_KL: f64 = 6.0;
const HORIZON: f64 = 10_000.0;

/// Where the critic comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ValueModel {
    /// A model of its own that starts from the reward model
    #[default]
    RewardModel,
    /// An untrained head on the policy's hidden states: less memory, and the two objectives share the weights
    Head,
}

/// PPO with a critic.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "PPO")]
pub struct PpoOptions {
    /// Updates on each completion: passes over a phase's completions
    #[arg(long, value_parser = align_limits::count(), visible_alias = "ppo-epochs", default_value_t = 4, value_name = "N")]
    pub num_ppo_epochs: usize,
    /// Updates in a pass: mini-batches that a phase's completions are cut into
    #[arg(long, value_parser = align_limits::count(), default_value_t = 1, value_name = "N")]
    pub num_mini_batches: usize,
    /// Where the critic comes from [default: reward_model if there is one, else head]
    #[arg(long, value_enum)]
    pub value_model: Option<ValueModel>,
    /// How far a token's importance ratio may leave 1: of use where a phase has more than one update
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.2)]
    pub cliprange: f64,
    /// How far a value may move from what it was when the completion was sampled
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.2)]
    pub cliprange_value: f64,
    /// Weight of the critic's loss
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.1)]
    pub vf_coef: f64,
    /// Weight of the entropy bonus; above 0 the logits of a micro-batch are held at once
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.0)]
    pub entropy_coef: f64,
    /// End a phase's updates, of which there must be more than one, when the policy has gone this far from the one that sampled (`policy/approxkl_avg`)
    #[arg(long, value_parser = align_limits::finite(), value_name = "KL")]
    pub early_stop_kl: Option<f64>,
    /// Weight of the KL penalty; with `adap_kl_ctrl` only its first value [default: 0.05; 0.2 with `adap_kl_ctrl`]
    #[arg(long, value_parser = align_limits::finite(), visible_alias = "init-kl-coef", value_name = "C")]
    pub kl_coef: Option<f64>,
    /// Steer the weight of the KL penalty so that the divergence stays near `target_kl`
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false,
          action = clap::ArgAction::Set)]
    pub adap_kl_ctrl: bool,
    /// The divergence to stay near, in nats per completion [default: 6]
    #[arg(long, value_parser = align_limits::finite(), value_name = "KL")]
    pub target_kl: Option<f64>,
    /// Completions over which an error of 20 % and more moves the weight by 20 %; above a fifth of a phase's
    /// [default: 10000]
    #[arg(long, value_parser = align_limits::finite(), value_name = "N")]
    pub horizon: Option<f64>,
    /// The estimate of the divergence that is taken off the reward
    #[arg(long, value_enum, default_value_t)]
    pub kl_estimator: KlEstimator,
    /// The token whose reward holds the score
    #[arg(long, value_enum, default_value_t)]
    pub score_position: ScorePosition,
    /// Move scores into ± this
    #[arg(long, value_parser = align_limits::finite(), value_name = "SCORE")]
    pub score_clip: Option<f64>,
    /// Bring rewards to unit deviation
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false,
          action = clap::ArgAction::Set)]
    pub whiten_rewards: bool,
    /// Bring advantages to mean 0 and unit deviation
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = true,
          action = clap::ArgAction::Set)]
    pub whiten_advantages: bool,
    /// Discount of later rewards. A completion that was cut at `max_new_tokens` ends there: nothing is expected of what
    /// would have followed, as in TRL
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 1.0)]
    pub gamma: f64,
    /// λ of the generalized advantage estimate: 1 trusts the returns, 0 the critic
    #[arg(long, value_parser = align_limits::finite(), default_value_t = 0.95)]
    pub lam: f64,
}

/// The checked options of PPO, made from [`PpoOptions`].
#[derive(Clone, Debug, PartialEq)]
pub struct PpoConfig {
    /// Passes over a phase's completions.
    pub num_ppo_epochs: usize,
    /// Updates in a pass.
    pub num_mini_batches: usize,
    /// Completions of a micro-batch.
    pub micro_batch_size: usize,
    /// Micro-batches of an update, on each rank.
    pub gradient_accumulation_steps: usize,
    /// Ranks, among which a phase is dealt.
    pub ranks: usize,
    /// The coefficients of the objective.
    pub loss: PpoLoss,
    /// The estimation of advantages from rewards.
    pub estimation: Estimation,
    /// The approximate KL to the sampling policy (`policy/approxkl_avg`) above which the updates of a phase end.
    pub early_stop_kl: Option<f64>,
    /// The KL penalty's coefficient at the start.
    pub kl: KlCoefficient,
}

impl PpoConfig {
    /// Completions sampled in a phase, by all ranks.
    pub fn completions_per_phase(&self) -> usize {
        self.micro_batch_size * self.gradient_accumulation_steps * self.num_mini_batches * self.ranks
    }

    /// Updates made in a phase.
    pub fn updates_per_phase(&self) -> usize {
        self.num_ppo_epochs * self.num_mini_batches
    }

    /// The supervision that this method allows: its rules, and those that nothing is measured for.
    pub fn supervised(&self) -> Supervised {
        let mut without = BTreeMap::new();
        if self.updates_per_phase() == 1 {
            without.extend([Rule::ClipFraction, Rule::RatioDrift].map(|rule| (rule, Supervised::ONE_UPDATE)));
        }
        Supervised { kl_penalty: self.kl.value() > 0.0, without }
    }
}

/// The coefficient of the KL penalty: fixed, or steered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KlCoefficient {
    /// A fixed coefficient.
    Fixed(FixedKl),
    /// A coefficient that is steered to a target KL.
    Adaptive(AdaptiveKl),
}

impl KlCoefficient {
    /// The coefficient now.
    pub fn value(&self) -> f64 {
        match self {
            Self::Fixed(controller) => controller.value(),
            Self::Adaptive(controller) => controller.value(),
        }
    }

    pub(crate) fn update(&mut self, kl: f64, completions: usize) -> TensorResult<()> {
        match self {
            Self::Fixed(controller) => controller.update(kl, completions),
            Self::Adaptive(controller) => controller.update(kl, completions),
        }
    }

    pub(crate) fn set(&mut self, value: f64) {
        match self {
            Self::Fixed(controller) => controller.value = value,
            Self::Adaptive(controller) => controller.value = value,
        }
    }
}

impl PpoOptions {
    /// Checks the options; completions per micro-batch and micro-batches per update and rank are those of the training options.
    ///
    /// # Errors
    /// Names the first option that makes no sense or has no effect.
    pub fn check(
        &self,
        micro_batch_size: usize,
        gradient_accumulation_steps: usize,
        ranks: usize,
    ) -> Result<PpoConfig> {
        for (option, value) in
            [("num_ppo_epochs", self.num_ppo_epochs), ("num_mini_batches", self.num_mini_batches)]
        {
            if value == 0 {
                return wrong(option, &value, "must be at least 1");
            }
        }
        check_phase(&[
            ("per_device_train_batch_size", micro_batch_size),
            ("gradient_accumulation_steps", gradient_accumulation_steps),
            ("num_mini_batches", self.num_mini_batches),
            ("ranks", ranks),
        ])?;
        for (option, value) in [
            ("cliprange", self.cliprange),
            ("cliprange_value", self.cliprange_value),
            ("vf_coef", self.vf_coef),
            ("entropy_coef", self.entropy_coef),
            ("kl_coef", self.kl_coef.unwrap_or(0.0)),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(option, &value, "must be a number, 0 or more");
            }
        }
        for (option, value) in [
            ("early_stop_kl", self.early_stop_kl),
            ("target_kl", self.target_kl),
            ("horizon", self.horizon),
            ("score_clip", self.score_clip),
        ] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return wrong(option, &value, "must be a positive number");
            }
        }
        for (option, value) in [("gamma", self.gamma), ("lam", self.lam)] {
            if !(0.0..=1.0).contains(&value) {
                return wrong(option, &value, "must be from 0 to 1");
            }
        }
        Ok(PpoConfig {
            num_ppo_epochs: self.num_ppo_epochs,
            num_mini_batches: self.num_mini_batches,
            micro_batch_size,
            gradient_accumulation_steps,
            ranks,
            loss: PpoLoss {
                cliprange: self.cliprange,
                cliprange_value: self.cliprange_value,
                vf_coef: self.vf_coef,
                entropy_coef: self.entropy_coef,
            },
            estimation: Estimation {
                kl_estimator: self.kl_estimator,
                score_position: self.score_position,
                score_clip: self.score_clip,
                whiten_rewards: self.whiten_rewards,
                whiten_advantages: self.whiten_advantages,
                gamma: self.gamma,
                lam: self.lam,
            },
            early_stop_kl: self.early_stop_kl,
            kl: self.kl(micro_batch_size * gradient_accumulation_steps * self.num_mini_batches * ranks)?,
        })
    }

    fn kl(&self, completions_per_phase: usize) -> Result<KlCoefficient> {
        let value = self.kl_coef.unwrap_or(KL_COEF[usize::from(self.adap_kl_ctrl)]);
        if self.adap_kl_ctrl {
            let (target, horizon) = (self.target_kl.unwrap_or(TARGET_KL), self.horizon.unwrap_or(HORIZON));
            if value == 0.0 {
                return wrong("kl_coef", &value, "cannot be steered from 0: a positive number is needed");
            }
            let controller = AdaptiveKl::new(value, target, horizon)?;
            if !controller.stays_positive(completions_per_phase) {
                let problem = format!(
                    "must be above a fifth of a phase's {completions_per_phase} completions: the weight would not stay \
                     positive"
                );
                return wrong("horizon", &horizon, &problem);
            }
            return Ok(KlCoefficient::Adaptive(controller));
        }
        for (option, given) in [("target_kl", self.target_kl), ("horizon", self.horizon)] {
            if let Some(value) = given {
                return Err(Error::no_effect(
                    option,
                    value,
                    "has no effect without `adap_kl_ctrl`; remove it",
                ));
            }
        }
        Ok(KlCoefficient::Fixed(FixedKl { value }))
    }
}

fn wrong<T>(option: &'static str, value: &impl ToString, problem: &str) -> Result<T> {
    Err(Error::Option { option, value: value.to_string(), problem: problem.to_owned() })
}
