//! From checked options to a method.

use align_losses::FDivergence;

use super::{Basis, Labels, PairLoss, PairMethod, UnpairedLoss, UnpairedMethod};
use crate::loss_type::Family;
use crate::options::FDivergenceType;
use crate::{DpoOptions, LossType};

impl DpoOptions {
    pub(super) fn unpaired(&self, max_length: Option<usize>) -> UnpairedMethod {
        let loss = match self.loss_type[0] {
            LossType::Kto => UnpairedLoss::Kto,
            LossType::Bco => UnpairedLoss::Bco,
            _ => UnpairedLoss::ApoZero,
        };
        UnpairedMethod {
            loss,
            beta: self.beta(),
            desirable_weight: self.desirable_weight(),
            undesirable_weight: self.undesirable_weight(),
            max_length,
        }
    }

    pub(super) fn pairs(&self, family: Family) -> PairMethod {
        let first = self.loss_type[0];
        let weights = self.loss_weights.clone().unwrap_or_else(|| vec![1.0; self.loss_type.len()]);
        let weighted = || self.loss_type.iter().copied().zip(weights.iter().copied());
        let losses = weighted().filter_map(|(loss, weight)| Some((self.pair_loss(loss)?, weight))).collect();
        let likelihood = match family {
            Family::Gold => Some((Labels::Gold, self.tpo_alpha())),
            Family::Policy if first == LossType::Orpo => Some((Labels::PromptAndChosen, 1.0)),
            Family::Policy if first == LossType::Slic => None,
            Family::Policy => Some((Labels::Chosen, self.cpo_alpha())),
            _ => weighted()
                .find(|(loss, _)| *loss == LossType::Sft)
                .map(|(_, weight)| (Labels::Chosen, weight)),
        };
        let per_token = matches!(
            first,
            LossType::CpoIpo | LossType::Simpo | LossType::Orpo | LossType::TpoIpo | LossType::TpoL
        );
        let basis = match family {
            Family::Reference if !self.reference_free => Basis::Reference(self.divergence()),
            Family::Reference => Basis::Policy { per_token: false, alpha: 0.0 },
            _ => Basis::Policy { per_token, alpha: self.alpha() },
        };
        PairMethod {
            losses,
            likelihood: likelihood.filter(|(_, weight)| *weight > 0.0),
            beta: self.beta(),
            basis,
            ld_alpha: Some(self.ld_alpha()).filter(|alpha| *alpha < 1.0),
            use_weighting: self.use_weighting,
        }
    }

    /// The loss per pair; none of `sft`, which is a likelihood term, nor of what is not for pairs.
    fn pair_loss(&self, loss: LossType) -> Option<PairLoss> {
        let label_smoothing = self.label_smoothing();
        Some(match loss {
            LossType::Sigmoid | LossType::CpoSigmoid | LossType::TpoSigmoid => {
                PairLoss::Sigmoid { label_smoothing }
            }
            LossType::Robust => PairLoss::Robust { label_smoothing },
            LossType::Hinge | LossType::CpoHinge | LossType::TpoHinge => PairLoss::Hinge,
            LossType::Ipo => PairLoss::Ipo,
            // Their log-probs are per token already.
            LossType::IpoSum | LossType::CpoIpo | LossType::TpoIpo => PairLoss::IpoSum,
            LossType::SigmoidNorm => PairLoss::SigmoidNorm,
            LossType::ExoPair => PairLoss::ExoPair { label_smoothing },
            LossType::NcaPair => PairLoss::NcaPair,
            LossType::BcoPair => PairLoss::BcoPair,
            LossType::SppoHard => PairLoss::SppoHard,
            LossType::Aot => PairLoss::Aot { label_smoothing },
            LossType::AotUnpaired => PairLoss::AotUnpaired { label_smoothing },
            LossType::ApoZero => PairLoss::ApoZero,
            LossType::ApoDown => PairLoss::ApoDown,
            LossType::Discopop => PairLoss::Discopop { tau: self.discopop_tau() },
            LossType::Dpop => PairLoss::Dpop { lambda: self.dpop_lambda() },
            LossType::Rdpo => PairLoss::Rdpo { alpha: self.length_alpha() },
            LossType::Slic => PairLoss::Slic { delta: self.slic_delta(), reg: self.slic_reg() },
            LossType::Simpo => PairLoss::Margin { gamma: self.simpo_gamma(), label_smoothing },
            LossType::TpoL => PairLoss::Margin { gamma: self.tpo_l_gamma(), label_smoothing },
            LossType::Orpo => PairLoss::OddsRatio,
            LossType::Sft | LossType::Kto | LossType::ApoZeroUnpaired | LossType::Bco => return None,
        })
    }

    fn divergence(&self) -> FDivergence {
        match self.f_divergence_type() {
            FDivergenceType::ReverseKl => FDivergence::ReverseKl,
            FDivergenceType::ForwardKl => FDivergence::ForwardKl,
            FDivergenceType::JsDivergence => FDivergence::JensenShannon,
            FDivergenceType::AlphaDivergence => FDivergence::Alpha(self.f_alpha_divergence_coef()),
        }
    }
}
