//! The members of the family, as tables: what each is made of where the options do not say otherwise.

use serde::Serialize;

use super::{Baseline, Reduction};

/// A method without a critic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupAlgorithm {
    /// Group relative policy optimization (arXiv:2402.03300) with any loss of TRL's `GRPOTrainer`, by default, as there,
    /// DAPO's token mean.
    Grpo,
    /// GRPO done right (arXiv:2503.20783): no deviation in the advantage, no length in the loss.
    DrGrpo,
    /// DAPO (arXiv:2503.14476): clip-higher, token-level loss, truncated completions left out, prompts that teach
    /// nothing replaced.
    Dapo,
    /// Group sequence policy optimization (arXiv:2507.18071): one ratio for a completion.
    Gspo,
    /// CISPO (MiniMax-M1, arXiv:2506.13585): a capped ratio as a weight.
    Cispo,
    /// REINFORCE leave-one-out (arXiv:2402.14740), as TRL's `RLOOTrainer`.
    Rloo,
    /// REINFORCE++ (arXiv:2501.03262): advantages over the whole phase, the divergence in the reward. Of each completion
    /// its sum is taken, not that of the tokens to come.
    ReinforcePp,
}

/// The loss of [`GroupAlgorithm::Grpo`]: TRL's `loss_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum GroupLossType {
    /// Completions weigh the same, whatever their length
    Grpo,
    /// Sums over a constant instead of the lengths
    DrGrpo,
    /// Tokens of the update weigh the same
    Dapo,
    /// Tokens of a micro-batch weigh the same
    Bnpo,
    /// Sums over tokens, mean over completions
    Luspo,
    /// A capped ratio as the weight of the log-probs
    Cispo,
    /// A soft gate in place of the clip
    Sapo,
    /// A smooth weight from the whole completion's ratio
    Vespo,
    /// The geometric mean of clipped ratios
    Gmpo,
}

/// What an algorithm fixes or has as its default.
pub(super) struct Preset {
    pub(super) loss: Option<GroupLossType>,
    pub(super) baseline: Baseline,
    pub(super) epsilon: (f64, f64),
    pub(super) sequence_level: bool,
    pub(super) mask_truncated: bool,
    pub(super) max_num_gen_batches: usize,
    pub(super) num_generations: usize,
    pub(super) beta: f64,
    pub(super) kl_in_reward: bool,
}

impl GroupAlgorithm {
    /// Its name in options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpo => "grpo",
            Self::DrGrpo => "dr_grpo",
            Self::Dapo => "dapo",
            Self::Gspo => "gspo",
            Self::Cispo => "cispo",
            Self::Rloo => "rloo",
            Self::ReinforcePp => "reinforce_pp",
        }
    }

    pub(super) fn preset(self) -> Preset {
        let grpo = Preset {
            loss: Some(GroupLossType::Dapo),
            baseline: Baseline::GroupScaled,
            epsilon: (0.2, 0.2),
            sequence_level: false,
            mask_truncated: false,
            max_num_gen_batches: 1,
            num_generations: 8,
            beta: 0.0,
            kl_in_reward: false,
        };
        match self {
            Self::Grpo => grpo,
            Self::DrGrpo => Preset { loss: Some(GroupLossType::DrGrpo), baseline: Baseline::Group, ..grpo },
            Self::Dapo => {
                Preset { epsilon: (0.2, 0.28), mask_truncated: true, max_num_gen_batches: 10, ..grpo }
            }
            Self::Gspo => Preset {
                loss: Some(GroupLossType::Grpo),
                epsilon: (3e-4, 4e-4),
                sequence_level: true,
                ..grpo
            },
            Self::Cispo => Preset { loss: Some(GroupLossType::Cispo), ..grpo },
            Self::Rloo => Preset {
                loss: None,
                baseline: Baseline::LeaveOneOut,
                num_generations: 2,
                beta: 0.05,
                kl_in_reward: true,
                ..grpo
            },
            Self::ReinforcePp => Preset {
                baseline: Baseline::Batch,
                num_generations: 1,
                beta: 0.01,
                kl_in_reward: true,
                ..grpo
            },
        }
    }
}

impl GroupLossType {
    /// How its losses become one number; `max` is the longest completion that is sampled.
    pub(super) fn reduction(self, max: usize) -> Reduction {
        match self {
            Self::Grpo | Self::Sapo | Self::Gmpo => Reduction::SequenceMean,
            Self::DrGrpo => Reduction::Constant { max_completion_length: max },
            Self::Dapo | Self::Cispo | Self::Vespo => Reduction::TokenMean,
            Self::Bnpo => Reduction::MicroBatchTokenMean,
            Self::Luspo => Reduction::SequenceSum,
        }
    }

    /// Whether it clips a ratio on both sides of 1.
    pub(super) fn clips(self) -> bool {
        !matches!(self, Self::Cispo | Self::Sapo | Self::Vespo)
    }
}
