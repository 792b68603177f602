//! What preference training minimises.

use align_losses::{PairLogProbs, PreferenceLoss};
use align_models::{CausalLm, Reference};
use align_train::{Error, Metrics, Objective, Result, StepLoss, Update, Weights};
use candle_core::{DType, Tensor};

use crate::displacement::DisplacementMonitor;
use crate::{Method, PairBatch};

/// The one loss term: every pair counts the same.
const PAIRS: &str = "pairs";

/// A policy, what it is compared with, and how. Over tracked parameters it trains, over a view it only
/// measures.
pub struct Preference {
    policy: CausalLm,
    reference: Reference,
    method: Method,
    displacement: DisplacementMonitor,
}

impl Preference {
    /// The objective over a policy's parameters, however they are held.
    pub fn new(policy: CausalLm, reference: Reference, method: Method) -> Self {
        Self { policy, reference, method, displacement: DisplacementMonitor::default() }
    }

    /// Refuses a start that cannot be: a policy that is its own reference has no reward and the loss of
    /// indifference. Anything else means that the two are not computed alike.
    ///
    /// # Errors
    /// With what was found.
    pub fn check_start(&self, batch: &PairBatch) -> Result<()> {
        let (loss, _) = self.losses(batch)?;
        let worst = |tensor: &Tensor| tensor.abs()?.max(0)?.to_dtype(DType::F32)?.to_scalar::<f32>();
        let reward = worst(&loss.chosen_rewards)?.max(worst(&loss.rejected_rewards)?);
        let expected = self.method.loss_at_reference();
        let deviation = worst(&(loss.losses.detach() - expected)?)?;
        if !(reward.is_finite() && deviation.is_finite()) {
            let problem =
                "the model's log-probs are not finite before the first step: its weights are damaged";
            return Err(Error::stage(problem));
        }
        // Precomputed log-probs come from other batches, so sums differ in their last bits.
        if reward <= 1e-3 && deviation <= 1e-3 {
            return Ok(());
        }
        Err(Error::stage(format!(
            "the policy starts as its own reference, so implicit rewards must be 0 and the loss {expected:.4}; found \
             rewards up to {reward:.4} and a loss off by {deviation:.4}: policy and reference are not computed alike"
        )))
    }

    /// Loss and rewards per pair, and the policy's log-probs they come from.
    fn losses(&self, batch: &PairBatch) -> candle_core::Result<(PreferenceLoss, PairLogProbs)> {
        let policy = batch.by_answer(&self.policy.sequence_log_probs(&batch.packed)?)?;
        let device = policy.chosen.device();
        let reference = self.reference.sequence_log_probs(&batch.packed, &batch.sequence_numbers(), device);
        let reference = batch.by_answer(&reference.map_err(candle_core::Error::wrap)?)?;
        Ok((self.method.loss(&policy, &reference)?, policy))
    }
}

impl Objective for Preference {
    type Batch = PairBatch;

    fn weights(&self, batch: &PairBatch) -> Weights {
        Weights::of(PAIRS, batch.len() as f64)
    }

    fn loss(&self, batch: &PairBatch, totals: &Weights) -> Result<StepLoss> {
        let (loss, policy) = self.losses(batch)?;
        Ok(StepLoss {
            loss: (loss.losses.sum_all()? / totals.get(PAIRS))?,
            metrics: metrics(batch, &loss, &policy)?,
        })
    }

    fn rows(&self, batch: &PairBatch) -> Vec<String> {
        batch.origins()
    }

    fn after_update(&mut self, update: &Update) -> Result<()> {
        self.displacement.observe(&update.metrics, self.method.beta());
        Ok(())
    }
}

/// TRL's metrics of preference training; a tie counts half a hit, so that an untrained policy has 0.5.
fn metrics(batch: &PairBatch, loss: &PreferenceLoss, policy: &PairLogProbs) -> Result<Metrics> {
    let values = |tensor: &Tensor| tensor.detach().to_dtype(DType::F32)?.to_vec1::<f32>();
    let (chosen, rejected) = (values(&loss.chosen_rewards)?, values(&loss.rejected_rewards)?);
    let hit = |(c, r): (&f32, &f32)| match c.total_cmp(r) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    let sum = |values: &[f32]| values.iter().copied().map(f64::from).sum::<f64>();
    let pairs = batch.len() as f64;
    let mut metrics = Metrics::default();
    metrics.mean("rewards/chosen", sum(&chosen), pairs);
    metrics.mean("rewards/rejected", sum(&rejected), pairs);
    metrics.mean("rewards/margins", sum(&chosen) - sum(&rejected), pairs);
    metrics.mean("rewards/accuracies", chosen.iter().zip(&rejected).map(hit).sum(), pairs);
    metrics.mean("logps/chosen", sum(&values(&policy.chosen)?), pairs);
    metrics.mean("logps/rejected", sum(&values(&policy.rejected)?), pairs);
    metrics.total("num_tokens", batch.num_tokens() as f64);
    Ok(metrics)
}
