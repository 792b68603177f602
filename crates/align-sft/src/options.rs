//! The options of the supervised objective: TRL's names and defaults.

use serde::Serialize;

/// What is minimised on every label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// Negative log-likelihood
    #[value(alias = "chunked_nll")]
    Nll,
    /// The same times the label's probability, held constant: dynamic fine-tuning
    Dft,
}

/// The supervised objective.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Supervised objective")]
pub struct SftOptions {
    /// The loss
    #[arg(long, value_enum, default_value_t = LossType::Nll)]
    pub loss_type: LossType,
}
