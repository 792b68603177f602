//! What training reports, under TRL's names.

use align_losses::{PairLengths, PairLogProbs, PairRewards, orpo_odds_ratio};
use align_train::{Metrics, Result};
use candle_core::{DType, Tensor};

use crate::{Basis, PairBatch, PairLoss, PairMethod, UnpairedBatch};

/// Accuracy on held-out pairs whose answers differ in few words, and on the others.
pub(crate) const TWINS: &str = "rewards/accuracies_twins";
pub(crate) const OTHERS: &str = "rewards/accuracies_others";

/// What is reported of preference pairs, still on the device; all of it detached.
pub(crate) struct Measured {
    pub(crate) rewards: PairRewards,
    pub(crate) policy: PairLogProbs,
    pub(crate) lengths: PairLengths,
    /// Σ −log π over the tokens of the likelihood term, and how many those are.
    pub(crate) nll: Option<Tensor>,
    pub(crate) labelled_tokens: usize,
}

impl Measured {
    /// Metrics of preference pairs; a tie counts half a hit, so that an untrained policy has 0.5. Where the method
    /// takes log-probs per token, `logps/*` are per token too.
    pub(crate) fn metrics(self, method: &PairMethod, batch: &PairBatch) -> Result<Metrics> {
        let Self { rewards, policy, lengths, nll, labelled_tokens } = self;
        let (chosen, rejected) = (values(&rewards.chosen)?, values(&rewards.rejected)?);
        let pairs = batch.len() as f64;
        let mut metrics = Metrics::default();
        metrics.mean("rewards/chosen", sum(&chosen), pairs);
        metrics.mean("rewards/rejected", sum(&rejected), pairs);
        metrics.mean("rewards/margins", sum(&chosen) - sum(&rejected), pairs);
        let hits: Vec<f64> =
            chosen.iter().zip(&rejected).map(|(chosen, rejected)| hit(chosen - rejected)).collect();
        metrics.mean("rewards/accuracies", sum(&hits), pairs);
        for (name, kind) in [(TWINS, true), (OTHERS, false)] {
            let own = batch.twins().iter().zip(&hits).filter(|(twins, _)| **twins == kind);
            let own: Vec<f64> = own.map(|(_, hit)| *hit).collect();
            if !own.is_empty() {
                metrics.mean(name, sum(&own), own.len() as f64);
            }
        }
        let (mut chosen, mut rejected) = (values(&policy.chosen)?, values(&policy.rejected)?);
        if matches!(method.basis, Basis::Policy { per_token: true, .. }) {
            let per_token = |log_probs: &mut [f64], lengths: &Tensor| -> Result<()> {
                let lengths = values(lengths)?;
                log_probs.iter_mut().zip(lengths).for_each(|(log_prob, length)| *log_prob /= length.max(1.0));
                Ok(())
            };
            per_token(&mut chosen, &lengths.chosen)?;
            per_token(&mut rejected, &lengths.rejected)?;
        }
        metrics.mean("logps/chosen", sum(&chosen), pairs);
        metrics.mean("logps/rejected", sum(&rejected), pairs);
        if let Some(nll) = nll {
            metrics.mean("nll_loss", sum(&values(&nll.reshape(1)?)?), labelled_tokens as f64);
        }
        if method.losses.iter().any(|(loss, _)| *loss == PairLoss::OddsRatio) {
            let odds = orpo_odds_ratio(&policy, &lengths)?;
            metrics.mean("log_odds_chosen", sum(&values(&odds.log_odds)?), pairs);
            metrics.mean("log_odds_ratio", sum(&values(&odds.log_sigmoid)?), pairs);
        }
        metrics.total("num_tokens", batch.num_tokens() as f64);
        Ok(metrics)
    }
}

/// Metrics of single answers. In `training`, `rewards/margins` is the difference of the two means of a
/// micro-batch that has both kinds, as TRL has it; an answer is a hit if its reward has the sign of its label, and half a hit at 0. `kl` is KTO's estimate from mismatched
/// answers; an evaluation has the KL from sampled ones under that name, and the margin over all rows.
pub(crate) fn unpaired_metrics(
    batch: &UnpairedBatch,
    rewards: &Tensor,
    policy: &Tensor,
    kl: Option<&Tensor>,
    training: bool,
) -> Result<Metrics> {
    let (rewards, log_probs) = (values(rewards)?, values(policy)?);
    let mut metrics = Metrics::default();
    let mut means = Vec::new();
    for (name, kind) in [("chosen", true), ("rejected", false)] {
        let of_kind = |values: &[f64]| {
            let chosen = values.iter().zip(batch.desirable()).filter(|(_, desirable)| **desirable == kind);
            chosen.map(|(value, _)| *value).collect::<Vec<_>>()
        };
        let (rewards, log_probs) = (of_kind(&rewards), of_kind(&log_probs));
        if !rewards.is_empty() {
            let count = rewards.len() as f64;
            metrics.mean(&format!("rewards/{name}"), sum(&rewards), count);
            metrics.mean(&format!("logps/{name}"), sum(&log_probs), count);
            means.push(sum(&rewards) / count);
        }
    }
    if let ([chosen, rejected], true) = (&means[..], training) {
        metrics.mean("rewards/margins", chosen - rejected, 1.0);
    }
    let signed = rewards
        .iter()
        .zip(batch.desirable())
        .map(|(reward, desirable)| if *desirable { *reward } else { -reward });
    metrics.mean("rewards/accuracies", signed.map(hit).sum(), batch.len() as f64);
    if let Some(kl) = kl.filter(|_| training) {
        metrics.mean("kl", sum(&values(&kl.reshape(1)?)?), 1.0);
    }
    metrics.total("num_tokens", batch.num_tokens() as f64);
    Ok(metrics)
}

/// The largest absolute value; NaN if there is one.
pub(crate) fn largest(tensor: &Tensor) -> Result<f64> {
    let nan_wins = |largest: f64, value: f64| {
        if value.is_nan() || value.abs() > largest { value.abs() } else { largest }
    };
    Ok(values(tensor)?.into_iter().fold(0.0, nan_wins))
}

fn hit(margin: f64) -> f64 {
    match margin.total_cmp(&0.0) {
        _ if margin == 0.0 => 0.5,
        std::cmp::Ordering::Greater => 1.0,
        _ => 0.0,
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    let values = tensor.detach().to_dtype(DType::F32)?.to_vec1::<f32>()?;
    Ok(values.into_iter().map(f64::from).collect())
}

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}
