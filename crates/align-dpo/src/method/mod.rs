//! Which functions of `align-losses` a run minimises, with their coefficients, checked.

mod build;
mod check;
mod defaults;
mod pair_loss;

use align_losses::{FDivergence, LogRatios, PairLengths, PairLogProbs};
use candle_core::Result;

use crate::LossType;

pub use pair_loss::{OwnLoss, PairLoss, Pairs};

/// A method, checked: the losses that a run minimises.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Losses on preference pairs.
    Pairs(PairMethod),
    /// Losses on single answers that are desirable or not.
    Unpaired(UnpairedMethod),
}

/// The method on preference pairs: its losses; every coefficient is one that a loss uses.
#[derive(Clone, Debug, PartialEq)]
pub struct PairMethod {
    /// Losses per pair and their weights.
    pub losses: Vec<(PairLoss, f64)>,
    /// A likelihood term: whose tokens, and its weight.
    pub likelihood: Option<(Labels, f64)>,
    /// β: a log-ratio times this is an implicit reward.
    pub beta: f64,
    /// The basis of comparison: log-ratios to a reference, or the policy's log-probs alone.
    pub basis: Basis,
    /// Weight of the tokens by which one answer is longer than the other (LD-DPO, arXiv:2409.06411).
    pub ld_alpha: Option<f64>,
    /// Whether pairs count by how likely the policy finds their answers (WPO, arXiv:2406.11827).
    pub use_weighting: bool,
}

/// The tokens that a likelihood term learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The chosen answer's.
    Chosen,
    /// The tokens of the prompt with the chosen answer (ORPO).
    PromptAndChosen,
    /// The gold answer's (TPO).
    Gold,
}

/// The basis that a policy's answers are compared by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Basis {
    /// Log-ratios to a reference, under a divergence.
    Reference(FDivergence),
    /// The policy's log-probs alone.
    Policy {
        /// Divided by the answer's length.
        per_token: bool,
        /// AlphaPO's shape (arXiv:2501.03884); 0 leaves them as they are.
        alpha: f64,
    },
}

/// A loss on single answers, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnpairedMethod {
    /// The loss.
    pub loss: UnpairedLoss,
    /// β: a log-ratio times this is an implicit reward.
    pub beta: f64,
    /// Weight of desirable answers.
    pub desirable_weight: f64,
    /// Weight of undesirable answers.
    pub undesirable_weight: f64,
    /// Most tokens of a prompt with a mismatched answer: the data's limit.
    pub max_length: Option<usize>,
}

/// The losses on single answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnpairedLoss {
    /// KTO (arXiv:2402.01306), against the KL estimated from mismatched answers.
    Kto,
    /// APO-zero (arXiv:2408.06266).
    ApoZero,
    /// BCO (arXiv:2404.04656), against the running mean of rewards.
    Bco,
}

impl PairMethod {
    /// DPO as published (Rafailov et al. 2023): what the options' defaults give.
    pub fn dpo(beta: f64) -> Self {
        Self {
            losses: vec![(PairLoss::Sigmoid { label_smoothing: 0.0 }, 1.0)],
            likelihood: None,
            beta,
            basis: Basis::Reference(FDivergence::ReverseKl),
            ld_alpha: None,
            use_weighting: false,
        }
    }

    /// True if answers are compared with a reference.
    pub fn needs_reference(&self) -> bool {
        matches!(self.basis, Basis::Reference(_))
    }

    /// Whether a fall of the chosen answers is known, and not what the method is for.
    pub(crate) fn watches_displacement(&self) -> bool {
        let lowers = |(loss, _): &(PairLoss, f64)| *loss == PairLoss::ApoDown;
        self.needs_reference() && !self.losses.iter().any(lowers)
    }

    /// The log-ratios that implicit rewards are made of: to the reference, or the policy's own log-probs as the
    /// method takes them.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn ratios(
        &self,
        policy: &PairLogProbs,
        reference: &PairLogProbs,
        lengths: &PairLengths,
    ) -> Result<LogRatios> {
        match self.basis {
            Basis::Reference(_) => LogRatios::new(policy, reference),
            Basis::Policy { per_token, alpha } => {
                let mut ratios = LogRatios::reference_free(policy)?;
                if per_token {
                    ratios = ratios.per_token(lengths)?;
                }
                if alpha == 0.0 { Ok(ratios) } else { ratios.alphapo(alpha) }
            }
        }
    }

    /// The weighted sum of the losses, `[pairs]`, without the likelihood term.
    ///
    /// # Errors
    /// If the shapes differ.
    pub fn loss(&self, pairs: &Pairs<'_>) -> Result<candle_core::Tensor> {
        let scores = match self.basis {
            Basis::Reference(divergence) => pairs.ratios.with_divergence(divergence)?,
            Basis::Policy { .. } => pairs.ratios.clone(),
        };
        let mut sum = None;
        for (loss, weight) in &self.losses {
            let share = (loss.of(pairs, &scores, self.beta)? * *weight)?;
            sum = Some(match sum {
                None => share,
                Some(sum) => (sum + share)?,
            });
        }
        sum.map_or_else(|| scores.chosen.zeros_like(), Ok)
    }
}

impl UnpairedMethod {
    /// Advice on unequal numbers of desirable and undesirable answers, if there is any: KTO's authors advise
    /// λ_D·n_D : λ_U·n_U between 1 : 1 and 4 : 3 (Ethayarajh et al. 2024, section 4.2), as TRL does.
    pub fn advice(&self, desirable: usize, undesirable: usize) -> Option<String> {
        if desirable == 0 || undesirable == 0 {
            let kind = if undesirable == 0 { "desirable" } else { "undesirable" };
            return Some(format!("all answers are {kind}: there is nothing to tell apart"));
        }
        if self.loss == UnpairedLoss::Bco {
            return None;
        }
        let ratio = self.desirable_weight * desirable as f64 / (self.undesirable_weight * undesirable as f64);
        if (0.99..=4.0 / 3.0 + 0.01).contains(&ratio) {
            return None;
        }
        let lower = self.undesirable_weight * undesirable as f64 / desirable as f64;
        Some(format!(
            "{desirable} answers are desirable and {undesirable} are not: consider --desirable-weight between {lower:.2} \
             and {:.2}",
            lower * 4.0 / 3.0
        ))
    }
}

impl Method {
    /// Why a micro-batch of so many rows would not do, if it would not: some losses compare its rows with each
    /// other.
    pub(crate) fn refuses_batch_of(losses: &[LossType], rows: usize) -> Option<String> {
        let loss = losses.iter().find(|loss| loss.compares_rows())?;
        (rows < 2).then(|| {
            format!(
                "must be at least 2, and not be left to `max_tokens_per_micro_batch`, with loss_type {}, which \
                 compares the rows of a micro-batch with each other",
                loss.name()
            )
        })
    }
}
