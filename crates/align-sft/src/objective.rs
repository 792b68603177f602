//! What supervised fine-tuning minimises.

use align_losses::{dft, nll};
use align_models::CausalLm;
use align_train::{Metrics, Objective, Result, StepLoss, Weights};
use candle_core::{DType, Tensor};

use crate::{ExampleBatch, LossType};

/// The one loss term: every labelled token of the window counts the same, however it is cut into
/// micro-batches.
const TOKENS: &str = "tokens";

/// A loss on every label. Over tracked parameters it trains, over a view it only measures.
pub struct Supervised {
    policy: CausalLm,
    loss: LossType,
    label_smoothing: f64,
}

impl Supervised {
    /// The objective over a model's parameters, however they are held.
    pub fn new(policy: CausalLm, loss: LossType) -> Self {
        Self { policy, loss, label_smoothing: 0.0 }
    }

    /// The same on labels of which the share ε is divided evenly among the vocabulary. As in transformers, the loss that is
    /// measured is this one too.
    #[must_use]
    pub fn with_label_smoothing(self, label_smoothing: f64) -> Self {
        Self { label_smoothing, ..self }
    }
}

impl Objective for Supervised {
    type Batch = ExampleBatch;

    fn weights(&self, batch: &ExampleBatch) -> Weights {
        Weights::of(TOKENS, batch.packed.targets.len() as f64)
    }

    /// The sum over the micro-batch's labels, divided by the labels of the whole window.
    fn loss<'a>(&'a self, batch: &'a ExampleBatch, totals: &Weights) -> Result<StepLoss<'a>> {
        let tokens = batch.packed.targets.len() as f64;
        let (log_probs, stats) =
            self.policy.smoothed_log_probs_with_stats(&batch.packed, self.label_smoothing)?;
        let learned = log_probs.ones_like()?;
        let losses = match self.loss {
            LossType::Nll => nll(&log_probs, &learned)?,
            LossType::Dft => dft(&log_probs, &learned)?,
        };
        let (entropy, correct) = (stats.entropy.detach(), stats.correct.detach());
        Ok(StepLoss::new((losses.sum_all()? / totals.get(TOKENS))?, move || {
            let mut metrics = Metrics::default();
            metrics.mean("entropy", sum(&entropy)?, tokens);
            metrics.mean("mean_token_accuracy", sum(&correct)?, tokens);
            metrics.total("num_tokens", batch.packed.stream.tokens.len() as f64);
            Ok(metrics)
        }))
    }

    fn rows(&self, batch: &ExampleBatch) -> Vec<String> {
        batch.origins.clone()
    }
}

fn sum(values: &Tensor) -> candle_core::Result<f64> {
    values.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>().map(f64::from)
}
