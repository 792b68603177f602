//! What supervised fine-tuning minimises.

use align_models::CausalLm;
use align_train::{Metrics, Objective, Result, StepLoss, Weights};
use candle_core::{DType, Tensor};

use crate::ExampleBatch;

/// The one loss term: every labelled token of the window counts the same, however it is cut into
/// micro-batches.
const TOKENS: &str = "tokens";

/// Negative log-likelihood of the labels. Over tracked parameters it trains, over a view it only measures.
pub struct Supervised {
    policy: CausalLm,
}

impl Supervised {
    /// The objective over a model's parameters, however they are held.
    pub fn new(policy: CausalLm) -> Self {
        Self { policy }
    }
}

impl Objective for Supervised {
    type Batch = ExampleBatch;

    fn weights(&self, batch: &ExampleBatch) -> Weights {
        Weights::of(TOKENS, batch.packed.targets.len() as f64)
    }

    /// −Σ log π(label) over the micro-batch, divided by the labels of the whole window.
    fn loss(&self, batch: &ExampleBatch, totals: &Weights) -> Result<StepLoss> {
        let tokens = batch.packed.targets.len() as f64;
        let (log_probs, stats) = self.policy.token_log_probs_with_stats(&batch.packed)?;
        let sum = |values: &Tensor| values.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>().map(f64::from);
        let mut metrics = Metrics::default();
        metrics.mean("entropy", sum(&stats.entropy)?, tokens);
        metrics.mean("mean_token_accuracy", sum(&stats.correct)?, tokens);
        metrics.total("num_tokens", batch.packed.stream.tokens.len() as f64);
        Ok(StepLoss { loss: (log_probs.sum_all()? * (-1.0 / totals.get(TOKENS)))?, metrics })
    }

    fn rows(&self, batch: &ExampleBatch) -> Vec<String> {
        batch.origins.clone()
    }
}
