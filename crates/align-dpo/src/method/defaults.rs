//! What an option is where it was not given: it may depend on the loss, so that clap cannot know it.

use serde_json::Value;

use crate::loss_type::Family;
use crate::options::FDivergenceType;
use crate::reference::Mixup;
use crate::{DpoOptions, LossType};

impl DpoOptions {
    /// The options that were not given and that the losses use, with the values they have then. Given, they change
    /// nothing. (The cache of log-probs, which is a place on one machine, is not among them.)
    pub fn defaulted(&self) -> Vec<(&'static str, Value)> {
        let numbers = [
            ("beta", self.beta, self.beta()),
            ("label_smoothing", self.label_smoothing, self.label_smoothing()),
            ("ld_alpha", self.ld_alpha, self.ld_alpha()),
            ("discopop_tau", self.discopop_tau, self.discopop_tau()),
            ("dpop_lambda", self.dpop_lambda, self.dpop_lambda()),
            ("length_alpha", self.length_alpha, self.length_alpha()),
            ("cpo_alpha", self.cpo_alpha, self.cpo_alpha()),
            ("simpo_gamma", self.simpo_gamma, self.simpo_gamma()),
            ("alpha", self.alpha, self.alpha()),
            ("slic_delta", self.slic_delta, self.slic_delta()),
            ("slic_reg", self.slic_reg, self.slic_reg()),
            ("tpo_alpha", self.tpo_alpha, self.tpo_alpha()),
            ("tpo_l_gamma", self.tpo_l_gamma, self.tpo_l_gamma()),
            ("desirable_weight", self.desirable_weight, self.desirable_weight()),
            ("undesirable_weight", self.undesirable_weight, self.undesirable_weight()),
        ];
        let used = |option: &str| self.loss_type.iter().any(|loss| loss.uses(option));
        let numbers = numbers.into_iter().filter(|(option, given, _)| given.is_none() && used(option));
        let mut defaulted: Vec<_> = numbers.map(|(option, _, value)| (option, Value::from(value))).collect();
        if self.loss_weights.is_none() && self.loss_type.len() > 1 {
            defaulted.push(("loss_weights", vec![1.0; self.loss_type.len()].into()));
        }
        defaulted.extend(self.defaulted_divergence());
        defaulted.extend(self.defaulted_mixup());
        defaulted
    }

    fn defaulted_divergence(&self) -> Vec<(&'static str, Value)> {
        let kind = self.f_divergence_type();
        let has_one =
            self.loss_type.iter().all(|loss| loss.uses("f_divergence_type")) && !self.reference_free;
        let mut defaulted = Vec::new();
        if self.f_divergence_type.is_none() && has_one {
            defaulted.push(("f_divergence_type", kind.name().into()));
        }
        if self.f_alpha_divergence_coef.is_none() && kind == FDivergenceType::AlphaDivergence {
            defaulted.push(("f_alpha_divergence_coef", self.f_alpha_divergence_coef().into()));
        }
        defaulted
    }

    fn defaulted_mixup(&self) -> Vec<(&'static str, Value)> {
        let Mixup { alpha, steps } = self.moves();
        let mut defaulted = Vec::new();
        if self.sync_ref_model && self.ref_model_mixup_alpha.is_none() {
            defaulted.push(("ref_model_mixup_alpha", alpha.into()));
        }
        if self.sync_ref_model && self.ref_model_sync_steps.is_none() {
            defaulted.push(("ref_model_sync_steps", steps.into()));
        }
        defaulted
    }

    pub(super) fn beta(&self) -> f64 {
        let has_gold = self.loss_type.first().is_some_and(|loss| loss.family() == Family::Gold);
        self.beta.unwrap_or(if has_gold { 0.01 } else { 0.1 })
    }

    pub(super) fn cpo_alpha(&self) -> f64 {
        self.cpo_alpha.unwrap_or(if self.loss_type.contains(&LossType::Simpo) { 0.0 } else { 1.0 })
    }

    pub(super) fn f_divergence_type(&self) -> FDivergenceType {
        self.f_divergence_type.unwrap_or(FDivergenceType::ReverseKl)
    }

    /// How a reference moves, if it does.
    pub(super) fn moves(&self) -> Mixup {
        Mixup {
            alpha: self.ref_model_mixup_alpha.unwrap_or(0.6),
            steps: self.ref_model_sync_steps.unwrap_or(512),
        }
    }
}

/// Options whose default is the same for all losses that use them.
macro_rules! defaults {
    ($($option:ident = $default:literal),* $(,)?) => {
        impl DpoOptions {
            $(pub(super) fn $option(&self) -> f64 {
                self.$option.unwrap_or($default)
            })*
        }
    };
}

defaults! {
    label_smoothing = 0.0,
    f_alpha_divergence_coef = 0.5,
    ld_alpha = 1.0,
    discopop_tau = 0.05,
    dpop_lambda = 50.0,
    length_alpha = 0.02,
    simpo_gamma = 0.5,
    alpha = 0.0,
    slic_delta = 1.0,
    slic_reg = 0.1,
    tpo_alpha = 1.0,
    tpo_l_gamma = 0.5,
    desirable_weight = 1.0,
    undesirable_weight = 1.0,
}
