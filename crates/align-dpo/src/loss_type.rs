//! The losses by name, and which options each of them uses.
//!
//! Names are TRL's; where TRL gives a method a trainer of its own, the trainer's name comes first
//! (`cpo_hinge`, `tpo_l`) or is the name (`orpo`, `kto`).

use serde::Serialize;

/// What a run minimises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// DPO; with label_smoothing conservative DPO
    Sigmoid,
    /// DPO that is unbiased under labels flipped with probability label_smoothing
    Robust,
    /// A hinge on the margin (SLiC, RSO)
    Hinge,
    /// IPO on log-ratios per token, as TRL
    Ipo,
    /// IPO on summed log-ratios, as the paper
    IpoSum,
    /// DPO on log-ratios per token (Tulu 3)
    SigmoidNorm,
    /// EXO for pairs; needs label_smoothing above 0
    ExoPair,
    /// Noise contrastive alignment
    NcaPair,
    /// Binary classifier optimization on pairs
    BcoPair,
    /// Self-play preference optimization with hard labels
    SppoHard,
    /// Alignment by optimal transport: sorted margins of the micro-batch
    Aot,
    /// The same on sorted rewards, chosen and rejected apart
    AotUnpaired,
    /// Anchored preference optimization: chosen up, rejected down
    ApoZero,
    /// Anchored preference optimization: both down, rejected more
    ApoDown,
    /// The loss that a language model discovered
    Discopop,
    /// DPO-Positive: also keeps the chosen answer likely
    Dpop,
    /// R-DPO: DPO under a price on each token of an answer
    Rdpo,
    /// Mean negative log-likelihood of the chosen tokens: in a mixture, the RPO term
    Sft,
    /// CPO
    CpoSigmoid,
    /// CPO with a hinge
    CpoHinge,
    /// CPO with IPO's square
    CpoIpo,
    /// SimPO
    Simpo,
    /// SLiC-HF: a hinge on log-probs, and likelihood of the chosen answer
    Slic,
    /// ORPO
    Orpo,
    /// TPO: rows have a third, gold answer in the column `reference`
    TpoSigmoid,
    /// TPO with a hinge
    TpoHinge,
    /// TPO with IPO's square
    TpoIpo,
    /// TPO on log-probs per token with a target margin
    #[value(alias = "tpo-l")]
    TpoL,
    /// KTO: single answers, desirable or not
    Kto,
    /// APO-zero on single answers
    ApoZeroUnpaired,
    /// Binary classifier optimization on single answers
    Bco,
}

/// Losses that are fed alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Pairs, compared with a reference model.
    Reference,
    /// Pairs, the policy alone.
    Policy,
    /// Pairs with a gold answer, the policy alone.
    Gold,
    /// Single answers, compared with a reference model.
    Unpaired,
}

/// Of a live or precomputed reference.
const REFERENCE: &[&str] = &[
    "ref_model",
    "precompute_ref_log_probs",
    "ref_log_probs_cache",
    "sync_ref_model",
    "ref_model_mixup_alpha",
    "ref_model_sync_steps",
];
/// Of every loss on log-ratios of pairs.
const PAIRS: &[&str] = &["beta", "ld_alpha", "use_weighting"];
/// Of the losses that are functions of f'(ratio).
const DIVERGENCE: &[&str] = &["f_divergence_type", "f_alpha_divergence_coef"];
/// Of the CPO trainer. AlphaPO's `alpha` bends p^−α, which overflows for whole answers: it goes with the losses
/// on log-probs per token.
const CPO: &[&str] = &["beta", "cpo_alpha"];
const TPO: &[&str] = &["beta", "tpo_alpha"];

impl LossType {
    pub(crate) fn family(self) -> Family {
        match self {
            Self::CpoSigmoid | Self::CpoHinge | Self::CpoIpo | Self::Simpo | Self::Slic | Self::Orpo => {
                Family::Policy
            }
            Self::TpoSigmoid | Self::TpoHinge | Self::TpoIpo | Self::TpoL => Family::Gold,
            Self::Kto | Self::ApoZeroUnpaired | Self::Bco => Family::Unpaired,
            _ => Family::Reference,
        }
    }

    /// Whether the loss compares the rows of a micro-batch with each other.
    pub(crate) fn compares_rows(self) -> bool {
        matches!(self, Self::Aot | Self::AotUnpaired | Self::Kto)
    }

    /// What the loss makes of a micro-batch as a whole, so that an update that is cut otherwise is another update; none of
    /// losses that are sums over rows.
    pub(crate) fn of_micro_batch(self) -> Option<&'static str> {
        match self {
            Self::Aot => Some("compares the sorted margins of a micro-batch"),
            Self::AotUnpaired => Some("compares the sorted rewards of a micro-batch"),
            Self::Kto => Some("estimates the KL from the mismatched answers of a micro-batch"),
            Self::Bco => Some("moves its running mean of rewards with every micro-batch"),
            _ => None,
        }
    }

    /// Whether the option, one of those that are not for every loss, has an effect on this one.
    pub(crate) fn uses(self, option: &str) -> bool {
        debug_assert!(
            Self::ALL.iter().any(|loss| loss.options().any(|used| used == option)),
            "no loss uses an option `{option}`"
        );
        self.options().any(|used| used == option)
    }

    /// The options that have an effect on this loss, but for those that every loss has.
    fn options(self) -> impl Iterator<Item = &'static str> {
        let groups: &'static [&'static [&'static str]] = match self {
            Self::Sigmoid => &[REFERENCE, PAIRS, DIVERGENCE, &["label_smoothing", "reference_free"]],
            Self::Hinge | Self::Ipo | Self::IpoSum => &[REFERENCE, PAIRS, DIVERGENCE, &["reference_free"]],
            Self::Robust | Self::ExoPair => &[REFERENCE, PAIRS, DIVERGENCE, &["label_smoothing"]],
            Self::SigmoidNorm => &[REFERENCE, PAIRS, DIVERGENCE],
            Self::Discopop => &[REFERENCE, PAIRS, DIVERGENCE, &["discopop_tau"]],
            Self::NcaPair | Self::BcoPair | Self::SppoHard | Self::ApoZero | Self::ApoDown => {
                &[REFERENCE, PAIRS]
            }
            // Its losses belong to quantiles of the batch, which a pair's weight is not about.
            Self::Aot | Self::AotUnpaired => &[REFERENCE, &["beta", "ld_alpha", "label_smoothing"]],
            Self::Dpop => &[REFERENCE, PAIRS, &["dpop_lambda"]],
            Self::Rdpo => &[REFERENCE, PAIRS, &["length_alpha"]],
            // Its rewards are still those of a policy against a reference.
            Self::Sft => &[REFERENCE, &["beta"]],
            Self::CpoSigmoid => &[CPO, &["label_smoothing"]],
            Self::CpoHinge => &[CPO],
            Self::CpoIpo => &[CPO, &["alpha"]],
            Self::Simpo => &[CPO, &["alpha", "label_smoothing", "simpo_gamma"]],
            Self::Slic => &[&["beta", "slic_delta", "slic_reg"]],
            Self::Orpo => &[&["beta"]],
            Self::TpoSigmoid => &[TPO, &["label_smoothing"]],
            Self::TpoHinge | Self::TpoIpo => &[TPO],
            Self::TpoL => &[TPO, &["label_smoothing", "tpo_l_gamma"]],
            Self::Kto | Self::ApoZeroUnpaired => {
                &[REFERENCE, &["beta", "desirable_weight", "undesirable_weight"]]
            }
            Self::Bco => &[REFERENCE, &["beta"]],
        };
        groups.iter().copied().flatten().copied()
    }

    /// TRL's default learning rate for it.
    pub(crate) fn default_learning_rate(self) -> f64 {
        match self.family() {
            Family::Gold => 5e-7,
            _ if self == Self::Bco => 5e-7,
            _ => 1e-6,
        }
    }
}

#[cfg(feature = "clap")]
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args as _, FromArgMatches as _};

    use super::*;
    use crate::DpoOptions;

    /// What every loss has, or the mixture of them.
    const OF_ALL: [&str; 4] = ["loss_type", "loss_weights", "num_kl_prompts", "max_new_tokens"];

    /// The options that the schema has and that are not for every loss.
    fn schema() -> BTreeSet<String> {
        let command = DpoOptions::augment_args(clap::Command::new("options"));
        let names = command.get_arguments().map(|argument| argument.get_id().to_string());
        names.filter(|name| !OF_ALL.contains(&name.as_str())).collect()
    }

    #[test]
    fn losses_and_the_schema_have_the_same_options() {
        let losses = LossType::ALL.iter();
        let used: BTreeSet<String> = losses.flat_map(|loss| loss.options()).map(str::to_owned).collect();
        assert_eq!(used, schema());
    }

    #[test]
    fn every_option_that_is_given_is_seen() {
        let command = DpoOptions::augment_args(clap::Command::new("options"));
        let flags = command
            .get_arguments()
            .filter(|argument| !OF_ALL.contains(&argument.get_id().as_str()))
            .map(|argument| {
                let name = argument.get_long().unwrap_or_default();
                let value = match argument.get_possible_values().first() {
                    _ if !argument.get_action().takes_values() => return format!("--{name}"),
                    Some(value) => value.get_name().to_owned(),
                    None => "1".to_owned(),
                };
                format!("--{name}={value}")
            });
        let words: Vec<String> = std::iter::once("options".to_owned()).chain(flags).collect();
        let options = DpoOptions::from_arg_matches(&command.get_matches_from(words)).unwrap();
        let given: BTreeSet<String> = options.given().into_iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(given, schema());
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "no loss uses an option `bata`")]
    fn a_misspelt_option_is_found() {
        LossType::Sigmoid.uses("bata");
    }
}
