//! From options to a method: what does not go together is refused here, with the reason.

use std::path::PathBuf;

use align_train::{Error, Result};

use super::Method;
use crate::loss_type::Family;
use crate::options::FDivergenceType;
use crate::reference::Mixup;
use crate::{DpoOptions, LossType};

impl DpoOptions {
    /// The method, if the options make sense together; `batch_size` is the number of rows in a
    /// micro-batch, `max_length` the most tokens of a sequence.
    ///
    /// # Errors
    /// Names the option, its value and the rule it breaks.
    pub fn method(&self, batch_size: usize, max_length: Option<usize>) -> Result<Method> {
        let family = self.family()?;
        self.check_given()?;
        self.check_numbers()?;
        self.mixup()?;
        if let Some(problem) = Method::refuses_batch_of(&self.loss_type, batch_size) {
            return refuse("per_device_train_batch_size", batch_size, problem);
        }
        if self.max_new_tokens == 0 {
            return refuse("max_new_tokens", 0, "must be at least 1");
        }
        let method = match family {
            Family::Unpaired => Method::Unpaired(self.unpaired(max_length)),
            _ => Method::Pairs(self.pairs(family)),
        };
        Ok(method)
    }

    /// The mix-up of policy and reference (TR-DPO), if the reference follows the policy.
    ///
    /// # Errors
    /// If the options make no sense together.
    pub fn mixup(&self) -> Result<Option<Mixup>> {
        let Mixup { alpha, steps } = self.moves();
        if !self.sync_ref_model {
            for (option, given) in [
                ("ref_model_mixup_alpha", self.ref_model_mixup_alpha.map(|value| value.to_string())),
                ("ref_model_sync_steps", self.ref_model_sync_steps.map(|value| value.to_string())),
            ] {
                if let Some(value) = given {
                    return no_effect(option, value, "has no effect without `sync_ref_model`; remove it");
                }
            }
            return Ok(None);
        }
        if self.precompute_ref_log_probs {
            let problem = "the reference moves, so its log-probs cannot be computed in advance; remove \
                           `precompute_ref_log_probs`";
            return refuse("sync_ref_model", true, problem);
        }
        if !(alpha > 0.0 && alpha <= 1.0) {
            return refuse("ref_model_mixup_alpha", alpha, "must be above 0 and at most 1");
        }
        if steps == 0 {
            return refuse("ref_model_sync_steps", steps, "must be at least 1");
        }
        Ok(Some(self.moves()))
    }

    /// The directory of precomputed reference log-probs; none if they are not to be precomputed.
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

    /// The one family that all losses are of.
    fn family(&self) -> Result<Family> {
        let names = || self.loss_type.iter().map(|loss| loss.name()).collect::<Vec<_>>().join(",");
        let Some((first, others)) = self.loss_type.split_first() else {
            return refuse("loss_type", "", "must name a loss");
        };
        for (place, other) in others.iter().enumerate() {
            if self.loss_type[..=place].contains(other) {
                return refuse("loss_type", names(), format!("names {} twice", other.name()));
            }
            if first.family() != Family::Reference || other.family() != Family::Reference {
                let odd = if first.family() == Family::Reference { other } else { first };
                let problem =
                    format!("{} is trained by itself: it is fed otherwise than the others", odd.name());
                return refuse("loss_type", names(), problem);
            }
        }
        if let Some(weights) = &self.loss_weights {
            let value = weights.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            if first.family() != Family::Reference {
                let problem = format!(
                    "has no effect with loss_type {}, which is trained by itself; remove it",
                    first.name()
                );
                return no_effect("loss_weights", value, problem);
            }
            if weights.len() != self.loss_type.len() {
                let problem =
                    format!("must be one weight per loss, {} for {}", self.loss_type.len(), names());
                return refuse("loss_weights", value, problem);
            }
            if weights.iter().any(|weight| !(weight.is_finite() && *weight >= 0.0))
                || weights.iter().sum::<f64>() == 0.0
            {
                return refuse("loss_weights", value, "must be numbers that are not negative, and not all 0");
            }
        }
        Ok(first.family())
    }

    /// Refuses an option that none of the losses uses, or that another option makes void.
    fn check_given(&self) -> Result<()> {
        for (option, value) in self.given() {
            if self.loss_type.iter().any(|loss| loss.uses(option)) {
                continue;
            }
            let users = LossType::ALL.iter().filter(|loss| loss.uses(option));
            let users = users.map(|loss| loss.name()).collect::<Vec<_>>().join(", ");
            let losses = self.loss_type.iter().map(|loss| loss.name()).collect::<Vec<_>>().join(",");
            let problem = format!("has no effect with loss_type {losses}, only with {users}; remove it");
            return no_effect(option, value, problem);
        }
        if let (Some(dir), false) = (&self.ref_log_probs_cache, self.precompute_ref_log_probs) {
            let problem = "has no effect without `precompute_ref_log_probs`; remove it";
            return no_effect("ref_log_probs_cache", dir.display(), problem);
        }
        if let (Some(alpha), kind) = (self.f_alpha_divergence_coef, self.f_divergence_type)
            && kind != Some(FDivergenceType::AlphaDivergence)
        {
            let problem = "has no effect without `f_divergence_type` alpha_divergence; remove it";
            return no_effect("f_alpha_divergence_coef", alpha, problem);
        }
        let without = |option: &str| self.loss_type.iter().find(|loss| !loss.uses(option));
        if let (true, Some(odd)) = (self.use_weighting, without("use_weighting")) {
            let problem =
                format!("weights pairs, and {} is not a sum over pairs: they do not go together", odd.name());
            return refuse("use_weighting", true, problem);
        }
        // A divergence holds for the whole loss or not at all; a likelihood has none.
        let odd =
            self.loss_type.iter().find(|loss| !loss.uses("f_divergence_type") && **loss != LossType::Sft);
        if let (Some(kind), Some(odd)) = (self.f_divergence_type, odd) {
            let problem =
                format!("{} has no other divergence than reverse_kl: they do not go together", odd.name());
            return refuse("f_divergence_type", kind.name(), problem);
        }
        // In TRL 1.x `sigmoid` ignores it, here that is conservative DPO: beside another loss that needs it, either
        // reading would surprise somebody.
        let smoothed = self.loss_type.iter().filter(|loss| loss.uses("label_smoothing")).count();
        let share = self.label_smoothing();
        if share != 0.0 && smoothed > 1 && self.loss_type.contains(&LossType::Sigmoid) {
            let problem = "would make conservative DPO of sigmoid beside another loss that needs it; they do not go together";
            return refuse("label_smoothing", share, problem);
        }
        if self.reference_free {
            let odd =
                self.loss_type.iter().find(|loss| !loss.uses("reference_free") && **loss != LossType::Sft);
            if let Some(odd) = odd {
                return refuse("reference_free", true, format!("{} needs a reference", odd.name()));
            }
            let reference = self.given().into_iter().find(|(option, _)| {
                option.starts_with("ref_") || ["precompute_ref_log_probs", "sync_ref_model"].contains(option)
            });
            if let Some((option, value)) = reference {
                return no_effect(option, value, "has no effect with `reference_free`; remove it");
            }
            if self.f_divergence_type.is_some_and(|kind| kind != FDivergenceType::ReverseKl) {
                return refuse(
                    "reference_free",
                    true,
                    "there is no divergence from a reference that is not there",
                );
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<()> {
        for (option, value) in [
            ("beta", self.beta),
            ("discopop_tau", self.discopop_tau),
            ("dpop_lambda", self.dpop_lambda),
            ("slic_delta", self.slic_delta),
            ("desirable_weight", self.desirable_weight),
            ("undesirable_weight", self.undesirable_weight),
        ] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                return refuse(option, value, "must be a positive number");
            }
        }
        for (option, value) in [
            ("length_alpha", self.length_alpha),
            ("cpo_alpha", self.cpo_alpha),
            ("simpo_gamma", self.simpo_gamma),
            ("slic_reg", self.slic_reg),
            ("tpo_alpha", self.tpo_alpha),
            ("tpo_l_gamma", self.tpo_l_gamma),
        ] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
                return refuse(option, value, "must be a number that is not negative");
            }
        }
        for (option, value) in
            [("alpha", self.alpha), ("f_alpha_divergence_coef", self.f_alpha_divergence_coef)]
        {
            if let Some(value) = value.filter(|value| !value.is_finite()) {
                return refuse(option, value, "must be a number");
            }
        }
        if let Some(share) = self.label_smoothing.filter(|share| !(0.0..0.5).contains(share)) {
            return refuse("label_smoothing", share, "must be in [0, 0.5)");
        }
        if self.loss_type.contains(&LossType::ExoPair) && self.label_smoothing() == 0.0 {
            let problem =
                "must be above 0 with loss_type exo_pair, which takes its logarithm; the paper has 0.001";
            return refuse("label_smoothing", 0, problem);
        }
        if let Some(alpha) = self.ld_alpha.filter(|alpha| !(0.0..=1.0).contains(alpha)) {
            return refuse("ld_alpha", alpha, "must be in [0, 1]");
        }
        Ok(())
    }
}

fn refuse<T>(option: &'static str, value: impl std::fmt::Display, problem: impl Into<String>) -> Result<T> {
    Err(Error::Option { option, value: value.to_string(), problem: problem.into() })
}

fn no_effect<T>(
    option: &'static str,
    value: impl std::fmt::Display,
    problem: impl Into<String>,
) -> Result<T> {
    Err(Error::no_effect(option, value, problem))
}
