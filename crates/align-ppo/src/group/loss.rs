//! What a group's log-probs cost: a loss per token or completion, a penalty, and one number.

use align_losses::{
    Clip, SapoTemperatures, Sequences, Surrogate, VespoShapes, bias_corrected_k3, cispo, clipped_surrogate,
    gmpo, k3, log_ratios, off_policy_mask, rloo, sapo, seq_mean_token_mean, seq_mean_token_sum,
    seq_mean_token_sum_norm, sequence_log_ratios, sequence_token_log_ratios, token_mean, top_entropy_mask,
    two_sided_surrogate, vespo,
};
use align_train::Weights;
use candle_core::{Result, Tensor};

/// The term of completions, those without a part in the loss included.
pub(super) const SEQUENCES: &str = "sequences";
/// The term of tokens in the loss.
pub(super) const TOKENS: &str = "tokens";
/// The term of micro-batches.
pub(super) const MICRO_BATCHES: &str = "micro_batches";

/// The policy's loss before anything is averaged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PolicyLoss {
    /// −min(ρA, clip(ρ)A), with ρ capped at δ if there is one.
    Clipped {
        /// The range of the ratio.
        clip: Clip,
        /// TRL's `delta`.
        delta: Option<f64>,
    },
    /// −sg(min(ρ, cap))·A·log π.
    Cispo {
        /// The cap, an absolute ratio: TRL's `epsilon_high` for this loss.
        cap: f64,
    },
    /// A soft gate.
    Sapo(SapoTemperatures),
    /// −sg(φ)·A·log π.
    Vespo(VespoShapes),
    /// The geometric mean of ratios whose logarithms are clipped.
    Gmpo(Clip),
    /// The clipped ratio of whole completions, not normalised by length.
    Rloo(Clip),
}

/// What has an importance ratio: TRL's `importance_sampling_level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Importance {
    /// Each token
    Token,
    /// Each completion (GSPO)
    Sequence,
    /// Each completion in value, each token in gradient (GSPO-token)
    SequenceToken,
}

/// The reduction of an update's losses to one number. The amounts are those of the whole update, however it is cut
/// into micro-batches, but for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Mean over completions of the mean over their tokens.
    SequenceMean,
    /// Mean over tokens.
    TokenMean,
    /// Mean over micro-batches of the mean over their tokens: the one that depends on how the update is cut. (So does
    /// [`GroupLoss::top_entropy_quantile`], whatever the reduction.)
    MicroBatchTokenMean,
    /// Mean over completions of the sum over their tokens.
    SequenceSum,
    /// Mean over completions of the sum over their tokens, divided by a constant number of tokens.
    Constant {
        /// The constant: the longest completion.
        max_completion_length: usize,
    },
}

/// A loss on the completions of groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupLoss {
    /// The policy's loss, before the reduction.
    pub objective: PolicyLoss,
    /// The level of the importance ratio: token or completion.
    pub importance: Importance,
    /// The reduction to one number.
    pub reduction: Reduction,
    /// Bias correction: whether the KL penalty is weighed by the ratio (TRL's `use_bias_correction_kl`).
    pub bias_corrected_kl: bool,
    /// Leaves out completions with a negative advantage that the policy has left behind by so many nats per token.
    pub off_policy_mask_threshold: Option<f64>,
    /// Share of the tokens, those of highest entropy, that have a part in the loss. The quantile is that of the
    /// micro-batch, as in TRL: entropies 1, 2 and 3, 4 in two of them keep 2 and 4, in one 3 and 4.
    pub top_entropy_quantile: Option<f64>,
}

/// What a batch says of the policy.
pub(super) struct Group<'a> {
    /// `[tokens]`, with a gradient.
    pub(super) log_probs: &'a Tensor,
    /// `[tokens]`.
    pub(super) old_log_probs: &'a Tensor,
    /// `[tokens]`, if a penalty is in the loss.
    pub(super) reference_log_probs: Option<&'a Tensor>,
    /// `[sequences]`.
    pub(super) advantages: &'a Tensor,
    /// `[tokens]`.
    pub(super) entropies: &'a Tensor,
    pub(super) sequences: &'a Sequences,
}

/// The loss of a micro-batch, and what it is made of.
pub(super) struct Computed {
    /// Its share of the update's loss.
    pub(super) loss: Tensor,
    /// The divergence from the reference, `[tokens]`.
    pub(super) kl: Option<Tensor>,
    pub(super) clipped: Clipped,
}

/// Where a bound held, still on the device and detached.
pub(super) enum Clipped {
    Nowhere,
    /// Of the ratios of tokens.
    Tokens(Surrogate),
    /// Of the ratios of completions.
    Sequences(Surrogate),
    /// 1 where a token is over the cap, `[tokens]`.
    Cap(Tensor),
    /// Weights of the completions.
    Weights(Tensor),
}

/// Losses of tokens or of whole completions.
enum Losses {
    Tokens(Tensor),
    Sequences(Tensor),
}

impl GroupLoss {
    /// What it makes of a micro-batch as a whole, so that an update that is cut otherwise is another update.
    pub(super) fn of_micro_batch(&self) -> Option<&'static str> {
        match (self.reduction, self.top_entropy_quantile) {
            (Reduction::MicroBatchTokenMean, _) => {
                Some("loss_type bnpo averages over the tokens of a micro-batch")
            }
            (_, Some(_)) => Some("top_entropy_quantile takes the quantile of the entropies of a micro-batch"),
            _ => None,
        }
    }

    /// The micro-batch's share of the update's loss, of which `totals` are the amounts; `beta` weighs the penalty.
    pub(super) fn compute(&self, group: &Group<'_>, beta: f64, totals: &Weights) -> Result<Computed> {
        let ratios = log_ratios(group.log_probs, group.old_log_probs, group.sequences)?;
        let (losses, clipped) = self.losses(group, &ratios)?;
        let losses = self.without_what_is_left_out(losses, group)?;
        let kl = match group.reference_log_probs {
            None => None,
            Some(reference) if self.bias_corrected_kl => {
                let weights = match self.importance {
                    Importance::Token => ratios,
                    _ => group.sequences.spread(&sequence_log_ratios(&ratios, group.sequences)?)?,
                };
                Some(bias_corrected_k3(group.log_probs, reference, &weights)?)
            }
            Some(reference) => Some(k3(group.log_probs, reference)?),
        };
        let losses = match (&kl, losses) {
            (Some(kl), Losses::Tokens(losses)) => Losses::Tokens((losses + (kl * beta)?)?),
            (Some(kl), Losses::Sequences(losses)) => {
                Losses::Sequences((losses + (group.sequences.means(kl)? * beta)?)?)
            }
            (None, losses) => losses,
        };
        Ok(Computed { loss: self.reduced(&losses, group.sequences, totals)?, kl, clipped })
    }

    fn losses(&self, group: &Group<'_>, ratios: &Tensor) -> Result<(Losses, Clipped)> {
        let Group { log_probs, old_log_probs, advantages, sequences, .. } = group;
        let of_tokens = || sequences.spread(advantages);
        match self.objective {
            PolicyLoss::Clipped { clip, delta } => self.weighed(group, ratios, |ratios, advantages| {
                let surrogate = match delta {
                    None => clipped_surrogate(ratios, advantages, clip)?,
                    Some(delta) => two_sided_surrogate(ratios, advantages, clip, delta)?,
                };
                let clipped = self.clipped(&surrogate);
                Ok((surrogate.losses, clipped))
            }),
            PolicyLoss::Sapo(temperatures) => self.weighed(group, ratios, |ratios, advantages| {
                Ok((sapo(ratios, advantages, temperatures)?, Clipped::Nowhere))
            }),
            PolicyLoss::Cispo { cap } => {
                let computed = cispo(log_probs, old_log_probs, &of_tokens()?, sequences, cap)?;
                Ok((Losses::Tokens(computed.losses), Clipped::Cap(computed.clipped)))
            }
            PolicyLoss::Vespo(shapes) => {
                let computed = vespo(log_probs, old_log_probs, advantages, sequences, shapes)?;
                Ok((Losses::Tokens(computed.losses), Clipped::Weights(computed.weights)))
            }
            PolicyLoss::Gmpo(clip) => {
                let surrogate = gmpo(ratios, advantages, sequences, clip)?;
                Ok((Losses::Sequences(surrogate.losses.clone()), Clipped::Tokens(surrogate.detach())))
            }
            PolicyLoss::Rloo(clip) => {
                let surrogate = rloo(log_probs, old_log_probs, advantages, sequences, clip)?;
                Ok((Losses::Sequences(surrogate.losses.clone()), Clipped::Sequences(surrogate.detach())))
            }
        }
    }

    /// A loss of ratios and advantages at the level that has a ratio, given to the tokens.
    fn weighed(
        &self,
        group: &Group<'_>,
        ratios: &Tensor,
        loss: impl Fn(&Tensor, &Tensor) -> Result<(Tensor, Clipped)>,
    ) -> Result<(Losses, Clipped)> {
        let Group { advantages, sequences, .. } = group;
        let (losses, clipped) = match self.importance {
            Importance::Token => loss(ratios, &sequences.spread(advantages)?)?,
            Importance::Sequence => {
                let (losses, clipped) = loss(&sequence_log_ratios(ratios, sequences)?, advantages)?;
                (sequences.spread(&losses)?, clipped)
            }
            Importance::SequenceToken => {
                loss(&sequence_token_log_ratios(ratios, sequences)?, &sequences.spread(advantages)?)?
            }
        };
        Ok((Losses::Tokens(losses), clipped))
    }

    fn clipped(&self, surrogate: &Surrogate) -> Clipped {
        match self.importance {
            Importance::Sequence => Clipped::Sequences(surrogate.detach()),
            Importance::Token | Importance::SequenceToken => Clipped::Tokens(surrogate.detach()),
        }
    }

    fn without_what_is_left_out(&self, losses: Losses, group: &Group<'_>) -> Result<Losses> {
        let Group { log_probs, old_log_probs, advantages, entropies, sequences, .. } = group;
        let mut losses = losses;
        if let Some(threshold) = self.off_policy_mask_threshold {
            let kept = off_policy_mask(log_probs, old_log_probs, advantages, sequences, threshold)?;
            losses = match losses {
                Losses::Tokens(losses) => Losses::Tokens((losses * sequences.spread(&kept)?)?),
                Losses::Sequences(losses) => Losses::Sequences((losses * kept)?),
            };
        }
        match (self.top_entropy_quantile, losses) {
            (Some(share), Losses::Tokens(losses)) => {
                let kept = top_entropy_mask(entropies, sequences, share)?;
                Ok(Losses::Tokens((losses * kept)?))
            }
            (_, losses) => Ok(losses),
        }
    }

    fn reduced(&self, losses: &Losses, sequences: &Sequences, totals: &Weights) -> Result<Tensor> {
        let amount = |term: &str| totals.get(term) as usize;
        let losses = match losses {
            Losses::Sequences(losses) => return losses.sum_all()? / (amount(SEQUENCES).max(1) as f64),
            Losses::Tokens(losses) => losses,
        };
        match self.reduction {
            Reduction::SequenceMean => seq_mean_token_mean(losses, sequences, amount(SEQUENCES)),
            Reduction::TokenMean => token_mean(losses, sequences, amount(TOKENS)),
            Reduction::MicroBatchTokenMean => {
                let share = token_mean(losses, sequences, sequences.tokens())?;
                share / (amount(MICRO_BATCHES).max(1) as f64)
            }
            Reduction::SequenceSum => seq_mean_token_sum(losses, sequences, amount(SEQUENCES)),
            Reduction::Constant { max_completion_length } => {
                seq_mean_token_sum_norm(losses, sequences, amount(SEQUENCES), max_completion_length)
            }
        }
    }
}
