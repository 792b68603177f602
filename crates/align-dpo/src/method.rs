//! Which function of `align-losses` a run minimises, with its coefficients.

use align_losses::{PairLogProbs, PreferenceLoss, cdpo, dpo};
use candle_core::Result;

/// A preference loss that has been checked: every coefficient is one that the loss uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// DPO (Rafailov et al. 2023, arXiv:2305.18290).
    Sigmoid {
        /// How strongly the policy is held to the reference.
        beta: f64,
    },
    /// Conservative DPO (Mitchell 2023): labels are wrong with probability `label_smoothing`.
    ConservativeSigmoid {
        /// How strongly the policy is held to the reference.
        beta: f64,
        /// Assumed share of flipped labels, below one half.
        label_smoothing: f64,
    },
}

impl Method {
    /// Loss and implicit rewards per pair.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn loss(&self, policy: &PairLogProbs, reference: &PairLogProbs) -> Result<PreferenceLoss> {
        match *self {
            Self::Sigmoid { beta } => dpo(policy, reference, beta),
            Self::ConservativeSigmoid { beta, label_smoothing } => {
                cdpo(policy, reference, beta, label_smoothing)
            }
        }
    }

    /// What a log-ratio is multiplied by to become an implicit reward.
    pub fn beta(&self) -> f64 {
        match *self {
            Self::Sigmoid { beta } | Self::ConservativeSigmoid { beta, .. } => beta,
        }
    }

    /// The loss of a pair on which policy and reference agree.
    pub fn loss_at_reference(&self) -> f64 {
        match self {
            Self::Sigmoid { .. } | Self::ConservativeSigmoid { .. } => std::f64::consts::LN_2,
        }
    }
}
