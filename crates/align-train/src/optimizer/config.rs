//! Which optimizer, with its coefficients, and what each parameter gets of it.

use serde::{Deserialize, Serialize};

use super::{Adam, Momentum, Muon, Rule};
use crate::shares::Shares;

/// The optimizers, by the names of transformers' `TrainingArguments.optim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Optim {
    /// AdamW with two float32 moments; also called `adamw_torch_fused`.
    #[value(alias = "adamw_torch_fused")]
    #[serde(alias = "adamw_torch_fused")]
    AdamwTorch,
    /// AdamW with moments of 8 bits, as bitsandbytes keeps them; also called `adamw_bnb_8bit`.
    #[value(name = "adamw_8bit", alias = "adamw_bnb_8bit")]
    #[serde(rename = "adamw_8bit", alias = "adamw_bnb_8bit")]
    Adamw8bit,
    /// Adafactor: of a matrix's second moment, the sums of rows and columns alone.
    Adafactor,
    /// Lion: the sign of one moment; also called `lion_32bit`. Wants a learning rate a few times lower than AdamW's.
    #[value(alias = "lion_32bit")]
    #[serde(alias = "lion_32bit")]
    Lion,
    /// Stochastic gradient descent; `optim_args` may give it momentum.
    Sgd,
    /// Muon for the matrices of the layers, AdamW for embeddings, head, norms and biases.
    Muon,
}

/// The optimizer and its coefficients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimizerConfig {
    /// The optimizer.
    pub method: OptimizerMethod,
    /// λ, the weight decay of the parameters that decay (see [`Optimizer::decays`](super::Optimizer::decays)).
    pub weight_decay: f64,
    /// LoRA+ (Hayou et al. 2024, arXiv:2402.12354): the factor of the learning rate of B and of vectors, as PEFT groups
    /// parameters.
    pub loraplus_lr_ratio: f64,
}

/// The optimizers with the coefficients that each has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerMethod {
    /// [`Optim::AdamwTorch`]
    AdamW(Adam),
    /// [`Optim::Adamw8bit`]
    AdamW8bit(Adam),
    /// [`Optim::Adafactor`]
    Adafactor,
    /// [`Optim::Lion`]
    Lion {
        /// β₁, the share of the moment in the direction of a step.
        beta1: f64,
        /// β₂, how slowly the moment moves.
        beta2: f64,
    },
    /// [`Optim::Sgd`]
    Sgd(Momentum),
    /// [`Optim::Muon`]
    Muon(Muon, Adam),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        let method = OptimizerMethod::AdamW(Adam::default());
        Self { method, weight_decay: 0.0, loraplus_lr_ratio: 1.0 }
    }
}

impl OptimizerMethod {
    /// The name of the optimizer.
    pub fn optim(self) -> Optim {
        match self {
            Self::AdamW(_) => Optim::AdamwTorch,
            Self::AdamW8bit(_) => Optim::Adamw8bit,
            Self::Adafactor => Optim::Adafactor,
            Self::Lion { .. } => Optim::Lion,
            Self::Sgd(_) => Optim::Sgd,
            Self::Muon(..) => Optim::Muon,
        }
    }

    /// The bytes of the state that it keeps for a parameter of that name and shape.
    pub fn state_bytes(self, name: &str, shape: &[usize]) -> u64 {
        self.rule(name, shape).buffers(shape).iter().map(|spec| spec.bytes() as u64).sum()
    }

    /// The bytes of the state that a rank keeps at most for parameters of these names and shapes, which so many ranks share.
    pub fn shared_state_bytes(self, parameters: &[(String, Vec<usize>)], ranks: usize) -> u64 {
        let shares = Shares::new(parameters.iter().map(|(name, shape)| (&**name, &**shape)), self, ranks);
        let of_rank = |rank: usize| {
            let of = |(name, shape): &(String, Vec<usize>)| {
                let own = shares.of(name)[rank].clone();
                self.rule(name, shape)
                    .buffers_of(shape, &own)
                    .iter()
                    .map(|spec| spec.bytes() as u64)
                    .sum::<u64>()
            };
            parameters.iter().map(of).sum()
        };
        (0..ranks).map(of_rank).max().unwrap_or(0)
    }

    /// Whether it updates a parameter as a whole: no part of it can be updated without the rest.
    pub(crate) fn updates_whole(self, name: &str, shape: &[usize]) -> bool {
        matches!(self.rule(name, shape), Rule::Adafactor | Rule::Muon(_))
    }

    /// What a parameter is updated by.
    pub(super) fn rule(self, name: &str, shape: &[usize]) -> Rule {
        match self {
            Self::AdamW(adam) => Rule::AdamW(adam),
            Self::AdamW8bit(adam) if shape.iter().product::<usize>() < super::adamw_8bit::LEAST => {
                Rule::AdamW32bit(adam)
            }
            Self::AdamW8bit(adam) => Rule::AdamW8bit(adam),
            Self::Adafactor => Rule::Adafactor,
            Self::Lion { beta1, beta2 } => Rule::Lion { beta1, beta2 },
            Self::Sgd(momentum) => Rule::Sgd(momentum),
            Self::Muon(muon, _) if is_hidden_matrix(name, shape) => Rule::Muon(muon),
            Self::Muon(_, adam) => Rule::AdamW(adam),
        }
    }

    /// The rule that the optimizer is chosen for, rather than one it falls back to.
    pub(super) fn is_own(self, rule: Rule) -> bool {
        match self {
            Self::AdamW8bit(_) => matches!(rule, Rule::AdamW8bit(_)),
            Self::Muon(..) => matches!(rule, Rule::Muon(_)),
            _ => true,
        }
    }
}

/// True of matrices between the embedding and the head. Rows of tokens that are trained and adapters of an embedding or a
/// head are parts of those.
fn is_hidden_matrix(name: &str, shape: &[usize]) -> bool {
    const OUTER: [&str; 6] = ["embed", "lm_head", "score", "classifier", "token_adapter", "lora_embedding"];
    shape.len() == 2 && !OUTER.iter().any(|outer| name.contains(outer))
}
