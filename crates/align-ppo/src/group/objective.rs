//! What an update on groups minimises.

use align_losses::{Sequences, log_ratios};
use align_models::{CausalLm, Packed};
use align_train::{Metrics, Objective, Result, StepLoss, Weights};
use candle_core::{DType, Tensor};

use super::GroupBatch;
use super::loss::{Clipped, Group, GroupLoss, MICRO_BATCHES, SEQUENCES, TOKENS};

/// A policy under a [`GroupLoss`].
pub struct GroupObjective {
    policy: CausalLm,
    loss: GroupLoss,
    beta: f64,
    temperature: f64,
}

impl GroupObjective {
    /// The objective over a policy's parameters. `beta` weighs the divergence from the reference, whose log-probs the
    /// batches must have then; `temperature` is the one that completions were sampled at.
    pub fn new(policy: CausalLm, loss: GroupLoss, beta: f64, temperature: f64) -> Self {
        Self { policy, loss, beta, temperature }
    }

    pub(super) fn set_beta(&mut self, beta: f64) {
        self.beta = beta;
    }

    /// Log-probs of the labels and entropies of what predicts them, both `[tokens]`.
    pub(super) fn log_probs(&self, packed: &Packed) -> candle_core::Result<(Tensor, Tensor)> {
        let hidden = self.policy.decoder().hidden(&packed.stream, &packed.targets.rows)?;
        let (log_probs, stats) =
            self.policy.label_log_probs(&hidden, &packed.targets.labels, self.temperature)?;
        Ok((log_probs, stats.entropy))
    }
}

impl Objective for GroupObjective {
    type Batch = GroupBatch;

    fn weights(&self, batch: &GroupBatch) -> Weights {
        Weights::of(SEQUENCES, batch.completions() as f64)
            .with(TOKENS, batch.packed.targets.len() as f64)
            .with(MICRO_BATCHES, batch.micro_batches() as f64)
    }

    fn loss<'a>(&'a self, batch: &'a GroupBatch, totals: &Weights) -> Result<StepLoss<'a>> {
        let (log_probs, entropies) = self.log_probs(&batch.packed)?;
        let device = log_probs.device();
        let sequences = batch.sequences(device)?;
        let old_log_probs = batch.old_log_probs(device)?.unwrap_or_else(|| log_probs.detach());
        let reference = if self.beta == 0.0 { None } else { batch.reference_log_probs(device)? };
        let group = Group {
            log_probs: &log_probs,
            old_log_probs: &old_log_probs,
            reference_log_probs: reference.as_ref(),
            advantages: &batch.advantages(device)?,
            entropies: &entropies,
            sequences: &sequences,
        };
        let computed = self.loss.compute(&group, self.beta, totals)?;
        let log_probs = log_probs.detach();
        let ratios = log_ratios(&log_probs, &old_log_probs, &sequences)?.exp()?;
        let measured = Measured {
            entropies: entropies.detach(),
            kl: computed.kl.map(|kl| kl.detach()),
            ratios,
            clipped: computed.clipped,
            sequences,
        };
        Ok(StepLoss::new(computed.loss, move || measured.metrics()))
    }

    fn rows(&self, batch: &GroupBatch) -> Vec<String> {
        batch.rows()
    }
}

/// What is reported of an update, still on the device; all of it detached.
struct Measured {
    /// `[tokens]`.
    entropies: Tensor,
    /// `[tokens]`.
    kl: Option<Tensor>,
    /// Importance ratios, `[tokens]`.
    ratios: Tensor,
    clipped: Clipped,
    sequences: Sequences,
}

impl Measured {
    /// What TRL reports of an update, under its names; and `val/ratio`, the mean importance ratio of the tokens.
    fn metrics(self) -> Result<Metrics> {
        let Self { entropies, kl, ratios, clipped, sequences } = self;
        let tokens = sequences.tokens() as f64;
        let completions = sequences.lengths().iter().filter(|&&length| length > 0).count() as f64;
        let mut metrics = Metrics::default();
        metrics.mean("entropy", sum(&entropies)?, tokens);
        if let Some(kl) = kl {
            metrics.mean("kl", sum(&kl)?, tokens);
        }
        metrics.mean("val/ratio", sum(&ratios)?, tokens);
        let clip_ratios = match clipped {
            Clipped::Nowhere => return Ok(metrics),
            Clipped::Cap(clipped) => {
                metrics.mean("cispo_clip_ratio", mean(&clipped)? * tokens, tokens);
                return Ok(metrics);
            }
            Clipped::Weights(weights) => {
                metrics.mean("vespo/phi_seq_mean", mean(&weights)? * completions, completions);
                return Ok(metrics);
            }
            Clipped::Tokens(surrogate) => surrogate.token_clip_ratios(&sequences)?,
            Clipped::Sequences(surrogate) => surrogate.sequence_clip_ratios()?,
        };
        metrics.mean("clip_ratio/low_mean", clip_ratios.low_mean * tokens, tokens);
        metrics.mean("clip_ratio/high_mean", clip_ratios.high_mean * tokens, tokens);
        metrics.mean("clip_ratio/region_mean", clip_ratios.region_mean * tokens, tokens);
        metrics.mean("clip_ratio/low_min", clip_ratios.low_min, 1.0);
        metrics.mean("clip_ratio/high_max", clip_ratios.high_max, 1.0);
        Ok(metrics)
    }
}

fn sum(values: &Tensor) -> candle_core::Result<f64> {
    let values: Vec<f32> = values.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
    Ok(values.iter().map(|&value| f64::from(value)).sum())
}

fn mean(values: &Tensor) -> candle_core::Result<f64> {
    Ok(sum(values)? / values.elem_count().max(1) as f64)
}
