//! Alignment via optimal transport (Melnyk et al. 2024, arXiv:2406.05882, section 3): not each pair but the distribution over
//! the batch is to dominate, so quantiles are compared. The result belongs to quantiles, not to pairs, and
//! depends on the batch: gradient accumulation over micro-batches is another loss than one large batch.

use candle_core::{DType, Device, Result, Tensor};

use super::dpo::smoothed;
use super::{LogRatios, PairLogProbs};
use crate::checks::positive;

/// AOT for paired data: the policy's margins are to dominate the reference's.
///
/// ℓ_i = −(1 − ε)·log σ(β·d_i) − ε·log σ(−β·d_i), d = sort(log π(y_w) − log π(y_l)) − sort(the same of π_ref)
///
/// Returns `[pairs]`, one entry per quantile, smallest first.
///
/// # Errors
/// As [`LogRatios::new`] and [`cdpo`](super::cdpo).
pub fn aot(
    policy: &PairLogProbs,
    reference: &PairLogProbs,
    beta: f64,
    label_smoothing: f64,
) -> Result<Tensor> {
    // Also checks that the two belong together.
    let ratios = LogRatios::new(policy, reference)?;
    let of_policy = LogRatios::reference_free(policy)?.difference()?;
    let of_reference = LogRatios::reference_free(reference)?.difference()?.detach();
    dominating(&of_policy, &of_reference.to_dtype(ratios.chosen.dtype())?, beta, label_smoothing)
}

/// AOT for unpaired data: the chosen answers' log-ratios are to dominate the rejected ones' (TRL before 1.0
/// calls it `aot_pair`).
///
/// ℓ_i = −(1 − ε)·log σ(β·d_i) − ε·log σ(−β·d_i), d = sort(a) − sort(b)
///
/// Returns `[pairs]`, one entry per quantile, smallest first.
///
/// # Errors
/// As [`cdpo`](super::cdpo).
pub fn aot_unpaired(ratios: &LogRatios, beta: f64, label_smoothing: f64) -> Result<Tensor> {
    dominating(&ratios.chosen, &ratios.rejected, beta, label_smoothing)
}

fn dominating(upper: &Tensor, lower: &Tensor, beta: f64, label_smoothing: f64) -> Result<Tensor> {
    let quantiles = (sorted(upper)? - sorted(lower)?)?;
    smoothed(&(quantiles * positive("beta", beta)?)?, label_smoothing)
}

/// Ascending; equal values keep their order. Each value's gradient goes back to where it came from.
fn sorted(values: &Tensor) -> Result<Tensor> {
    let host = values.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
    if host.is_empty() {
        return Ok(values.clone());
    }
    let mut order: Vec<u32> = (0u32..).take(host.len()).collect();
    order.sort_by(|&i, &j| host[i as usize].total_cmp(&host[j as usize]));
    values.contiguous()?.index_select(&Tensor::new(order, values.device())?, 0)
}
