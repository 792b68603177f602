//! The options of preference training: TRL's names and defaults.
//!
//! What only some losses use is optional, so that giving it to another loss can be refused
//! ([`crate::Method`] does); its default is in the help.

use std::path::PathBuf;

use serde::Serialize;

use crate::LossType;

/// The divergence that holds the policy to the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum FDivergenceType {
    /// DPO's own
    ReverseKl,
    /// KL from the reference
    ForwardKl,
    /// Jensen-Shannon
    JsDivergence,
    /// The alpha divergence of f_alpha_divergence_coef
    AlphaDivergence,
}

/// The preference objective, its reference, and how it is measured.
#[derive(Clone, Debug, Serialize, align_options::Options)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[command(next_help_heading = "Preference objective")]
pub struct DpoOptions {
    /// The loss, or several, separated by commas: their sum, weighted by loss_weights
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [LossType::Sigmoid], hide_possible_values = false)]
    pub loss_type: Vec<LossType>,
    /// A weight for each of several losses, or of one that compares with a reference; by default 1 each
    #[arg(long, value_parser = align_limits::finite(), value_delimiter = ',', value_name = "W,W,…")]
    pub loss_weights: Option<Vec<f64>>,
    /// How strongly the policy is held to the reference: a larger beta keeps it closer. Without a reference, the
    /// scale of the margin; with slic and sft alone, of the reported rewards only [default: 0.1; tpo_*: 0.01]
    #[arg(long, value_parser = align_limits::finite())]
    pub beta: Option<f64>,
    /// Assumed share of flipped labels, below 0.5 [default: 0]
    #[arg(long, value_parser = align_limits::finite())]
    pub label_smoothing: Option<f64>,
    /// Compare with no reference: sigmoid, hinge, ipo and ipo_sum on the policy's own log-probs
    #[arg(long)]
    pub reference_free: bool,
    /// The divergence from the reference (f-DPO) [default: reverse_kl]
    #[arg(long, value_enum)]
    pub f_divergence_type: Option<FDivergenceType>,
    /// Alpha of the alpha divergence [default: 0.5]
    #[arg(long, value_parser = align_limits::finite())]
    pub f_alpha_divergence_coef: Option<f64>,
    /// Weight of the tokens by which one answer is longer than the other, 0 to 1 (LD-DPO) [default: 1]
    #[arg(long, value_parser = align_limits::finite())]
    pub ld_alpha: Option<f64>,
    /// Weight pairs by how likely the policy finds their answers (WPO)
    #[arg(long)]
    pub use_weighting: bool,
    /// Temperature of discopop's mixture [default: 0.05]
    #[arg(long, value_parser = align_limits::finite())]
    pub discopop_tau: Option<f64>,
    /// Weight of dpop's penalty where the chosen answer loses likelihood [default: 50]
    #[arg(long, value_parser = align_limits::finite())]
    pub dpop_lambda: Option<f64>,
    /// Price of a token in rdpo, in units of reward: the larger, the shorter the answers [default: 0.02]
    #[arg(long, value_parser = align_limits::finite())]
    pub length_alpha: Option<f64>,
    /// Weight of the chosen answer's negative log-likelihood [default: cpo_*: 1, simpo: 0]
    #[arg(long, value_parser = align_limits::finite())]
    pub cpo_alpha: Option<f64>,
    /// Target margin of simpo [default: 0.5]
    #[arg(long, value_parser = align_limits::finite())]
    pub simpo_gamma: Option<f64>,
    /// Shape of the reward in simpo and cpo_ipo (AlphaPO); 0 is the log-prob itself [default: 0]
    #[arg(long, value_parser = align_limits::finite(), allow_negative_numbers = true)]
    pub alpha: Option<f64>,
    /// Margin of slic, in nats [default: 1]
    #[arg(long, value_parser = align_limits::finite())]
    pub slic_delta: Option<f64>,
    /// Weight of the chosen answer's likelihood in slic [default: 0.1]
    #[arg(long, value_parser = align_limits::finite())]
    pub slic_reg: Option<f64>,
    /// Weight of the gold answer's negative log-likelihood in tpo_* [default: 1]
    #[arg(long, value_parser = align_limits::finite())]
    pub tpo_alpha: Option<f64>,
    /// Target margin of tpo_l [default: 0.5]
    #[arg(long, value_parser = align_limits::finite())]
    pub tpo_l_gamma: Option<f64>,
    /// Weight of desirable answers in kto and apo_zero_unpaired [default: 1]
    #[arg(long, value_parser = align_limits::finite())]
    pub desirable_weight: Option<f64>,
    /// Weight of undesirable answers in kto and apo_zero_unpaired [default: 1]
    #[arg(long, value_parser = align_limits::finite())]
    pub undesirable_weight: Option<f64>,
    /// The reference model: a directory or hub id; by default a frozen copy of the model as it starts
    #[arg(long, value_name = "DIR|ID")]
    pub ref_model: Option<String>,
    /// Compute the reference's log-probs before training, once for all runs on the same data
    #[arg(long)]
    pub precompute_ref_log_probs: bool,
    /// Where precomputed log-probs are kept; default: candle-align/ in the user's cache directory
    #[arg(long, value_name = "DIR")]
    pub ref_log_probs_cache: Option<PathBuf>,
    /// Let the reference follow the policy (TR-DPO)
    #[arg(long)]
    pub sync_ref_model: bool,
    /// Share of the policy in the reference that follows it [default: 0.6]
    #[arg(long, value_parser = align_limits::finite())]
    pub ref_model_mixup_alpha: Option<f64>,
    /// Steps between two updates of the reference [default: 512]
    #[arg(long, value_parser = align_limits::steps())]
    pub ref_model_sync_steps: Option<usize>,
    /// Held-out prompts that are completed to measure the KL from the reference; 0: do not measure it
    #[arg(long, value_parser = align_limits::rows(), default_value_t = 32)]
    pub num_kl_prompts: usize,
    /// Longest completion sampled in evaluation, in tokens
    #[arg(long, value_parser = align_limits::tokens(), default_value_t = 64)]
    pub max_new_tokens: usize,
}

impl DpoOptions {
    /// TRL's default for the loss.
    pub fn default_learning_rate(&self) -> f64 {
        self.loss_type.first().map_or(1e-6, |loss| loss.default_learning_rate())
    }

    /// A notice for a user who cuts updates into micro-batches, if that makes another loss of the one asked for.
    pub fn notice_of_cut(&self, gradient_accumulation_steps: usize) -> Option<String> {
        let (loss, what) = self.loss_type.iter().find_map(|loss| Some((loss, loss.of_micro_batch()?)))?;
        (gradient_accumulation_steps > 1).then(|| {
            format!(
                "loss_type {} {what}: {gradient_accumulation_steps} micro-batches an update do not add up to one of all \
                 their rows; for that give `gradient_accumulation_steps` 1 and a larger `per_device_train_batch_size`",
                loss.name()
            )
        })
    }

    /// The options that not every loss uses and that were given, with their values.
    pub(crate) fn given(&self) -> Vec<(&'static str, String)> {
        let number = |name, value: Option<f64>| value.map(|value| (name, value.to_string()));
        let switch = |name, on: bool| on.then(|| (name, true.to_string()));
        let text = |name, value: Option<String>| value.map(|value| (name, value));
        [
            number("beta", self.beta),
            number("label_smoothing", self.label_smoothing),
            switch("reference_free", self.reference_free),
            text("f_divergence_type", self.f_divergence_type.map(|kind| kind.name().to_owned())),
            number("f_alpha_divergence_coef", self.f_alpha_divergence_coef),
            number("ld_alpha", self.ld_alpha),
            switch("use_weighting", self.use_weighting),
            number("discopop_tau", self.discopop_tau),
            number("dpop_lambda", self.dpop_lambda),
            number("length_alpha", self.length_alpha),
            number("cpo_alpha", self.cpo_alpha),
            number("simpo_gamma", self.simpo_gamma),
            number("alpha", self.alpha),
            number("slic_delta", self.slic_delta),
            number("slic_reg", self.slic_reg),
            number("tpo_alpha", self.tpo_alpha),
            number("tpo_l_gamma", self.tpo_l_gamma),
            number("desirable_weight", self.desirable_weight),
            number("undesirable_weight", self.undesirable_weight),
            text("ref_model", self.ref_model.clone()),
            switch("precompute_ref_log_probs", self.precompute_ref_log_probs),
            text(
                "ref_log_probs_cache",
                self.ref_log_probs_cache.as_ref().map(|dir| dir.display().to_string()),
            ),
            switch("sync_ref_model", self.sync_ref_model),
            number("ref_model_mixup_alpha", self.ref_model_mixup_alpha),
            text("ref_model_sync_steps", self.ref_model_sync_steps.map(|steps| steps.to_string())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
