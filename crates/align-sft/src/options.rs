//! The options of the supervised objective: TRL's names and defaults.

use align_stage::{Error, Result, ensure};
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
    /// Share of each label that is divided evenly among the vocabulary (Szegedy et al. 2016); 0: none
    #[arg(long, value_parser = align_limits::number(0.0..=0.999_999), default_value_t = 0.0)]
    pub label_smoothing_factor: f64,
    /// Noise on embeddings while training (NEFTune): alpha / sqrt(tokens * width) at most; 5 is usual
    #[arg(long, value_parser = align_limits::number(0.0..=1e6))]
    pub neftune_noise_alpha: Option<f64>,
}

impl SftOptions {
    /// Refuses options that would do nothing or make no sense.
    ///
    /// # Errors
    /// The first of them.
    pub(crate) fn check(&self) -> Result<()> {
        let factor = self.label_smoothing_factor;
        ensure!(
            (0.0..1.0).contains(&factor),
            "`label_smoothing_factor`: must be at least 0 and below 1, found {factor}"
        );
        if factor > 0.0 && self.loss_type == LossType::Dft {
            return Err(Error::no_effect(
                "label_smoothing_factor",
                "with `loss_type` dft, which weighs the label by its own probability",
            ));
        }
        match self.neftune_noise_alpha {
            Some(alpha) if !(alpha.is_finite() && alpha > 0.0) => {
                let problem = format!("must be above 0, found {alpha}; without the option there is no noise");
                Err(Error::option("neftune_noise_alpha", problem))
            }
            _ => Ok(()),
        }
    }
}
