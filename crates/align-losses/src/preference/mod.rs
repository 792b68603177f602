//! Losses on preference pairs: a prompt x, a chosen completion y_w and a rejected one y_l.
//!
//! Each method is one function to a loss per pair, `[pairs]`; the stage reduces. Notation, with policy π and
//! reference π_ref, log-probs summed over completion tokens:
//!
//! - a = log π(y_w|x) − log π_ref(y_w|x), b the same for y_l, h = a − b: a [`LogRatios`];
//! - |y_w|, |y_l| = numbers of completion tokens: [`PairLengths`];
//! - β·a and β·b are the implicit rewards (Rafailov et al. 2023, eq. 5 without the partition function, which
//!   is the same for both): [`LogRatios::rewards`].
//!
//! What several papers vary independently is a change of the log-ratios, not an option of every loss: another
//! divergence ([`LogRatios::with_divergence`]), means per token ([`LogRatios::per_token`]), no reference
//! ([`LogRatios::reference_free`]), rewards bent by α ([`LogRatios::alphapo`]). What they vary in the tokens is a
//! change of the sums: a weight per answer ([`wpo_weights`]), less of the longer answer's end ([`ld_log_probs`]).
//!
//! A mixture of losses (MPO) is their weighted sum; nothing here takes lists of losses.

mod anchored;
mod contrastive;
mod discopop;
mod divergence;
mod dpo;
mod odds_ratio;
mod reference_free;
mod regression;
mod regularised;
mod token_weights;
mod transport;

use candle_core::{Result, Tensor, bail};

use crate::checks::{at_least_f32, constant_like, positive, same_shape};

pub use anchored::{apo_down, apo_zero, bco_pair};
pub use contrastive::{exo_pair, nca_pair};
pub use discopop::discopop;
pub use divergence::FDivergence;
pub use dpo::{cdpo, cdpo_with_margin, dpo, dpo_length_normalized, hinge, robust_dpo};
pub use odds_ratio::{OddsRatio, orpo_odds_ratio};
pub use reference_free::{cpo, cpo_hinge, cpo_ipo, simpo, slic, tpo_l};
pub use regression::{ipo, ipo_length_normalized, sppo_hard};
pub use regularised::{chosen_nll, dpop, rdpo};
pub use token_weights::{ld_log_probs, wpo_weights};
pub use transport::{aot, aot_unpaired};

/// Sequence log-probs of preference pairs under one model.
#[derive(Debug, Clone)]
pub struct PairLogProbs {
    /// log π(y_w|x), `[pairs]`.
    pub chosen: Tensor,
    /// log π(y_l|x), `[pairs]`.
    pub rejected: Tensor,
}

impl PairLogProbs {
    /// The same as constants.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { chosen: self.chosen.detach(), rejected: self.rejected.detach() }
    }
}

/// Completion tokens of preference pairs; numbers of any type, held constant.
#[derive(Debug, Clone)]
pub struct PairLengths {
    /// |y_w|, `[pairs]`.
    pub chosen: Tensor,
    /// |y_l|, `[pairs]`.
    pub rejected: Tensor,
}

/// The implicit rewards of both answers: reported, so detached.
#[derive(Debug, Clone)]
pub struct PairRewards {
    /// β·a, the implicit reward of the chosen answer, `[pairs]`.
    pub chosen: Tensor,
    /// β·b, the implicit reward of the rejected answer, `[pairs]`.
    pub rejected: Tensor,
}

/// a and b of the module page: how much likelier an answer is under the policy than under the reference, in
/// nats. Gradients flow to the policy.
#[derive(Debug, Clone)]
pub struct LogRatios {
    /// a, `[pairs]`.
    pub chosen: Tensor,
    /// b, `[pairs]`.
    pub rejected: Tensor,
}

impl LogRatios {
    /// The log-ratios of a policy to a reference, which is held constant.
    ///
    /// # Errors
    /// If a tensor is not `[pairs]` of a floating type.
    pub fn new(policy: &PairLogProbs, reference: &PairLogProbs) -> Result<Self> {
        let policy = Self::reference_free(policy)?;
        let pairs = policy.chosen.dims();
        for (name, tensor) in [("chosen", &reference.chosen), ("rejected", &reference.rejected)] {
            if tensor.dims() != pairs {
                bail!("expected the reference's {name} log-probs {pairs:?}, got {:?}", tensor.dims());
            }
        }
        let ratio = |name: &str, policy: &Tensor, reference: &Tensor| {
            policy - constant_like(&format!("the reference's {name} log-probs"), reference, policy)?
        };
        Ok(Self {
            chosen: ratio("chosen", &policy.chosen, &reference.chosen)?,
            rejected: ratio("rejected", &policy.rejected, &reference.rejected)?,
        })
    }

    /// The policy's own log-probs, as if the reference found all answers equally likely. CPO, SimPO and ORPO
    /// are built on these.
    ///
    /// # Errors
    /// If a tensor is not `[pairs]` of a floating type.
    pub fn reference_free(policy: &PairLogProbs) -> Result<Self> {
        let pairs = policy.chosen.dims1()?;
        if policy.rejected.dims() != [pairs] {
            bail!("expected the policy's rejected log-probs [{pairs}], got {:?}", policy.rejected.dims());
        }
        Ok(Self {
            chosen: at_least_f32("the policy's chosen log-probs", &policy.chosen)?,
            rejected: at_least_f32("the policy's rejected log-probs", &policy.rejected)?,
        })
    }

    /// Both divided by the completion's length: a/|y_w| and b/|y_l|. An empty completion counts as one token.
    ///
    /// # Errors
    /// If the lengths are not `[pairs]`.
    pub fn per_token(&self, lengths: &PairLengths) -> Result<Self> {
        let mean = |name: &str, sum: &Tensor, length: &Tensor| {
            sum / lengths_like(name, length, sum)?.maximum(1f64)?
        };
        Ok(Self {
            chosen: mean("chosen lengths", &self.chosen, &lengths.chosen)?,
            rejected: mean("rejected lengths", &self.rejected, &lengths.rejected)?,
        })
    }

    /// h = a − b, `[pairs]`.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn difference(&self) -> Result<Tensor> {
        same_shape("the rejected log-ratios", &self.rejected, "the chosen ones", &self.chosen)?;
        &self.chosen - &self.rejected
    }

    /// The implicit rewards β·a and β·b, detached.
    ///
    /// # Errors
    /// If β is not a positive number.
    pub fn rewards(&self, beta: f64) -> Result<PairRewards> {
        let beta = positive("beta", beta)?;
        Ok(PairRewards { chosen: (self.chosen.detach() * beta)?, rejected: (self.rejected.detach() * beta)? })
    }
}

/// Lengths as constants beside the sums they belong to.
fn lengths_like(name: &str, lengths: &Tensor, sums: &Tensor) -> Result<Tensor> {
    same_shape(name, lengths, "the log-probs", sums)?;
    lengths.detach().to_dtype(sums.dtype())
}
