//! Losses on preference pairs: a prompt x, a chosen completion y_w and a rejected one y_l.
//!
//! Each method is one function from the pairs' sequence log-probs (summed over completion tokens) to a loss
//! per pair; the stage reduces. The reference is held constant: no gradient flows to it. Notation, with
//! policy π and reference π_ref:
//!
//! - a = log π(y_w|x) − log π_ref(y_w|x), b the same for y_l, h = a − b;
//! - the implicit rewards are β·a and β·b (Rafailov et al. 2023, eq. 5 without the partition function, which
//!   is the same for both). They are reported, so they are detached.

use candle_core::{Result, Tensor, bail};

use crate::checks::{at_least_f32, constant_like};
use crate::numerics::log_sigmoid;

/// Sequence log-probs of preference pairs under one model.
#[derive(Debug, Clone)]
pub struct PairLogProbs {
    /// log π(y_w|x), `[pairs]`.
    pub chosen: Tensor,
    /// log π(y_l|x), `[pairs]`.
    pub rejected: Tensor,
}

/// A loss per pair, and what the policy implies about each answer.
#[derive(Debug, Clone)]
pub struct PreferenceLoss {
    /// The loss, `[pairs]`, not reduced; the only field that carries a gradient.
    pub losses: Tensor,
    /// β·a, the implicit reward of the chosen answer, `[pairs]`, detached.
    pub chosen_rewards: Tensor,
    /// β·b, the implicit reward of the rejected answer, `[pairs]`, detached.
    pub rejected_rewards: Tensor,
}

/// Direct preference optimization (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).
///
/// ℓ = −log σ(β·h)
///
/// Every tensor is `[pairs]`. A larger β keeps the policy closer to the reference.
///
/// # Errors
/// If a tensor is not `[pairs]` of a floating type, or β is not a positive number.
pub fn dpo(policy: &PairLogProbs, reference: &PairLogProbs, beta: f64) -> Result<PreferenceLoss> {
    let ratios = LogRatios::new(policy, reference)?;
    let logits = (ratios.difference()? * positive("beta", beta)?)?;
    ratios.loss(log_sigmoid(&logits)?.neg()?, beta)
}

/// Conservative DPO: each label is believed wrong with probability ε (Mitchell 2023, "A note on DPO with
/// noisy preferences & relationship to IPO", eq. 3; TRL's `sigmoid` with `label_smoothing`).
///
/// ℓ = −(1 − ε)·log σ(β·h) − ε·log σ(−β·h)
///
/// Minimal at σ(β·h) = 1 − ε, so the margin is not driven to infinity. Every tensor is `[pairs]`.
///
/// # Errors
/// As [`dpo`], and if `label_smoothing` (ε) is outside [0, 0.5): from one half on the labels say nothing,
/// or the opposite.
pub fn cdpo(
    policy: &PairLogProbs,
    reference: &PairLogProbs,
    beta: f64,
    label_smoothing: f64,
) -> Result<PreferenceLoss> {
    if !(0.0..0.5).contains(&label_smoothing) {
        bail!("expected label_smoothing in [0, 0.5), got {label_smoothing}");
    }
    let ratios = LogRatios::new(policy, reference)?;
    let logits = (ratios.difference()? * positive("beta", beta)?)?;
    let as_labelled = (log_sigmoid(&logits)? * (label_smoothing - 1.0))?;
    let as_flipped = (log_sigmoid(&logits.neg()?)? * label_smoothing)?;
    ratios.loss((as_labelled - as_flipped)?, beta)
}

/// a and b of the module page, each `[pairs]`.
struct LogRatios {
    chosen: Tensor,
    rejected: Tensor,
}

impl LogRatios {
    fn new(policy: &PairLogProbs, reference: &PairLogProbs) -> Result<Self> {
        let pairs = policy.chosen.dims1()?;
        for (name, tensor) in [
            ("the policy's rejected log-probs", &policy.rejected),
            ("the reference's chosen log-probs", &reference.chosen),
            ("the reference's rejected log-probs", &reference.rejected),
        ] {
            if tensor.dims() != [pairs] {
                bail!("expected {name} [{pairs}], got {:?}", tensor.dims());
            }
        }
        Ok(Self {
            chosen: log_ratio("chosen", &policy.chosen, &reference.chosen)?,
            rejected: log_ratio("rejected", &policy.rejected, &reference.rejected)?,
        })
    }

    /// h = a − b.
    fn difference(&self) -> Result<Tensor> {
        &self.chosen - &self.rejected
    }

    fn loss(&self, losses: Tensor, beta: f64) -> Result<PreferenceLoss> {
        Ok(PreferenceLoss {
            losses,
            chosen_rewards: (self.chosen.detach() * beta)?,
            rejected_rewards: (self.rejected.detach() * beta)?,
        })
    }
}

fn log_ratio(name: &str, policy: &Tensor, reference: &Tensor) -> Result<Tensor> {
    let policy = at_least_f32(name, policy)?;
    let reference = constant_like(name, reference, &policy)?;
    policy - reference
}

fn positive(name: &str, value: f64) -> Result<f64> {
    if !(value.is_finite() && value > 0.0) {
        bail!("expected {name} to be a positive number, got {value}");
    }
    Ok(value)
}
