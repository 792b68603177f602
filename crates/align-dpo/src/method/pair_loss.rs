//! A loss type as a function: one line per method.

use std::sync::Arc;

use align_losses::{
    LogRatios, PairLengths, PairLogProbs, aot, aot_unpaired, apo_down, apo_zero, bco_pair, cdpo,
    cdpo_with_margin, discopop, dpo_length_normalized, dpop, exo_pair, hinge, ipo, ipo_length_normalized,
    nca_pair, orpo_odds_ratio, rdpo, robust_dpo, slic, sppo_hard,
};
use candle_core::{Result, Tensor, bail};

/// A loss per pair with the coefficients that are its own.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the functions of align-losses that they name have formulas and papers")]
pub enum PairLoss {
    Sigmoid { label_smoothing: f64 },
    Robust { label_smoothing: f64 },
    Hinge,
    Ipo,
    IpoSum,
    SigmoidNorm,
    ExoPair { label_smoothing: f64 },
    NcaPair,
    BcoPair,
    SppoHard,
    Aot { label_smoothing: f64 },
    AotUnpaired { label_smoothing: f64 },
    ApoZero,
    ApoDown,
    Discopop { tau: f64 },
    Dpop { lambda: f64 },
    Rdpo { alpha: f64 },
    Slic { delta: f64, reg: f64 },
    Margin { gamma: f64, label_smoothing: f64 },
    OddsRatio,
    Own(OwnLoss),
}

/// A loss of a caller's own: from what is known of a batch of pairs to a loss per pair, `[pairs]`, through which gradients
/// flow to the policy's log-probs.
#[derive(Clone)]
pub struct OwnLoss(Arc<Function>);

type Function = dyn Fn(&Pairs<'_>) -> Result<Tensor> + Send + Sync;

impl OwnLoss {
    /// The loss that a function computes: of [`Pairs::ratios`], or of anything else there.
    pub fn new(loss: impl Fn(&Pairs<'_>) -> Result<Tensor> + Send + Sync + 'static) -> Self {
        Self(Arc::new(loss))
    }

    /// The loss, `[pairs]`.
    fn of(&self, pairs: &Pairs<'_>) -> Result<Tensor> {
        let loss = (self.0)(pairs)?;
        match loss.dims() == pairs.ratios.chosen.dims() {
            true => Ok(loss),
            false => bail!(
                "the loss: expected one per pair, {:?}, got {:?}",
                pairs.ratios.chosen.dims(),
                loss.dims()
            ),
        }
    }
}

impl std::fmt::Debug for OwnLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnLoss")
    }
}

/// The same function, not one that computes the same.
impl PartialEq for OwnLoss {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A batch of pairs as a loss sees it: log-ratios, log-probs and lengths.
pub struct Pairs<'a> {
    /// The log-ratios that the rewards are made of.
    pub ratios: &'a LogRatios,
    /// The policy's log-probs.
    pub policy: &'a PairLogProbs,
    /// The reference's; the policy's own where there is none.
    pub reference: &'a PairLogProbs,
    /// Tokens of the answers.
    pub lengths: &'a PairLengths,
}

impl PairLoss {
    /// The loss, `[pairs]`. `scores` are the ratios under the run's divergence.
    pub(super) fn of(&self, pairs: &Pairs<'_>, scores: &LogRatios, beta: f64) -> Result<Tensor> {
        let Pairs { ratios, policy, reference, lengths } = *pairs;
        match *self {
            Self::Own(ref loss) => loss.of(pairs),
            Self::Sigmoid { label_smoothing } => cdpo(scores, beta, label_smoothing),
            Self::Robust { label_smoothing } => robust_dpo(scores, beta, label_smoothing),
            Self::Hinge => hinge(scores, beta),
            Self::Ipo => ipo_length_normalized(scores, lengths, beta),
            Self::IpoSum => ipo(scores, beta),
            Self::SigmoidNorm => dpo_length_normalized(scores, lengths, beta),
            Self::ExoPair { label_smoothing } => exo_pair(scores, beta, label_smoothing),
            Self::NcaPair => nca_pair(ratios, beta),
            Self::BcoPair => bco_pair(ratios, beta, 0.0),
            Self::SppoHard => sppo_hard(ratios, beta),
            Self::Aot { label_smoothing } => aot(policy, reference, beta, label_smoothing),
            Self::AotUnpaired { label_smoothing } => aot_unpaired(ratios, beta, label_smoothing),
            Self::ApoZero => apo_zero(ratios, beta),
            Self::ApoDown => apo_down(ratios, beta),
            Self::Discopop { tau } => discopop(scores, beta, tau),
            Self::Dpop { lambda } => dpop(ratios, beta, lambda),
            Self::Rdpo { alpha } => rdpo(ratios, lengths, beta, alpha),
            Self::Slic { delta, reg } => slic(policy, delta, reg),
            Self::Margin { gamma, label_smoothing } => cdpo_with_margin(ratios, beta, gamma, label_smoothing),
            Self::OddsRatio => orpo_odds_ratio(policy, lengths)?.log_sigmoid * -beta,
        }
    }
}
