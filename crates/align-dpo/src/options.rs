//! The options of preference training: TRL's names and defaults.

use std::path::PathBuf;

use align_train::{Error, Result};
use serde::Serialize;

use crate::Method;

/// TRL's default for DPO.
pub const DEFAULT_LEARNING_RATE: f64 = 1e-6;

/// TRL's names of the losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// DPO; with `label_smoothing` conservative DPO
    Sigmoid,
}

/// The preference objective, its reference, and how it is measured.
#[derive(Clone, Debug, Serialize, clap::Args)]
#[command(next_help_heading = "Preference objective")]
pub struct DpoOptions {
    /// The loss
    #[arg(long, value_enum, default_value = "sigmoid")]
    pub loss_type: LossType,
    /// How strongly the policy is held to the reference: a larger beta keeps it closer
    #[arg(long, default_value_t = 0.1)]
    pub beta: f64,
    /// Assumed share of flipped labels, below 0.5 (conservative DPO)
    #[arg(long, default_value_t = 0.0)]
    pub label_smoothing: f64,
    /// The reference model: a directory or hub id; by default a frozen copy of the model as it starts
    #[arg(long, value_name = "DIR|ID")]
    pub ref_model: Option<String>,
    /// Compute the reference's log-probs before training, once for all runs on the same data
    #[arg(long)]
    pub precompute_ref_log_probs: bool,
    /// Where precomputed log-probs are kept; default: candle-align/ in the user's cache directory
    #[arg(long, value_name = "DIR")]
    pub ref_log_probs_cache: Option<PathBuf>,
    /// Held-out prompts that are completed to measure the KL from the reference; 0: do not measure it
    #[arg(long, default_value_t = 32)]
    pub num_kl_prompts: usize,
    /// Longest completion sampled in evaluation, in tokens
    #[arg(long, default_value_t = 64)]
    pub max_new_tokens: usize,
}

impl DpoOptions {
    /// The method, if the options make sense together.
    ///
    /// # Errors
    /// Names the option, its value and the rule it breaks.
    pub fn method(&self) -> Result<Method> {
        let beta = self.beta;
        if !(beta.is_finite() && beta > 0.0) {
            return refuse("beta", beta, "must be a positive number");
        }
        if !(0.0..0.5).contains(&self.label_smoothing) {
            return refuse("label_smoothing", self.label_smoothing, "must be in [0, 0.5)");
        }
        if let (Some(dir), false) = (&self.ref_log_probs_cache, self.precompute_ref_log_probs) {
            let problem = "has no effect without `precompute_ref_log_probs`; remove it";
            return refuse("ref_log_probs_cache", dir.display(), problem);
        }
        if self.max_new_tokens == 0 {
            return refuse("max_new_tokens", 0, "must be at least 1");
        }
        Ok(match (self.loss_type, self.label_smoothing) {
            (LossType::Sigmoid, 0.0) => Method::Sigmoid { beta },
            (LossType::Sigmoid, label_smoothing) => Method::ConservativeSigmoid { beta, label_smoothing },
        })
    }

    /// Where precomputed reference log-probs are kept; none if they are not to be precomputed.
    ///
    /// # Errors
    /// If no directory is named and the system has no cache directory for the user.
    pub fn cache_dir(&self) -> Result<Option<PathBuf>> {
        if !self.precompute_ref_log_probs {
            return Ok(None);
        }
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        let dir = self.ref_log_probs_cache.clone().or_else(|| Some(cache()?.join("candle-align")));
        match dir {
            Some(dir) => Ok(Some(dir)),
            None => refuse("ref_log_probs_cache", "nothing", "the system has no cache directory; name one"),
        }
    }
}

fn refuse<T>(option: &'static str, value: impl std::fmt::Display, problem: &str) -> Result<T> {
    Err(Error::Option { option, value: value.to_string(), problem: problem.to_owned() })
}
