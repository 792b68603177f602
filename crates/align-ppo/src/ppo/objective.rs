//! What PPO minimises: the clipped surrogate, the critic's clipped loss, and perhaps less entropy's bonus.
//!
//! mean(policy) + `vf_coef`·mean(value) − `entropy_coef`·mean(entropy), each mean over all tokens of the mini-batch
//! however it is cut into micro-batches (Schulman et al. 2017, arXiv:1707.06347, eq. 9, with the critic's clip of the
//! reference implementation).

use align_losses::kl::k2;
use align_losses::{Clip, clipped_value_loss, entropy, ppo_clip};
use align_models::Packed;
use align_train::{Metrics, Objective, Result, StepLoss, Weights};
use candle_core::Tensor;

use crate::Rollouts;
use crate::experience::{ExperienceBuffer, Remembered};
use crate::value::ActorCritic;

/// Tokens: what the policy's losses are means over.
const TOKENS: &str = "tokens";
/// Places with a value: what the critic's loss is a mean over.
const PLACES: &str = "places";

/// The coefficients of the objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PpoLoss {
    /// The clip range of a token's ratio around 1.
    pub cliprange: f64,
    /// The clip range of a value around what it was at sampling time.
    pub cliprange_value: f64,
    /// Weight of the critic's loss.
    pub vf_coef: f64,
    /// Weight of the entropy bonus.
    pub entropy_coef: f64,
}

/// A micro-batch of PPO: completions with what was remembered of them.
pub struct PpoBatch {
    packed: Packed,
    /// Rows of the stream whose state is valued.
    value_rows: Vec<u32>,
    remembered: Remembered,
    origins: Vec<String>,
}

impl PpoBatch {
    /// Packs completions by their numbers. Those of one prompt should follow each other.
    ///
    /// # Errors
    /// If the buffer's tensors cannot be made.
    pub fn new(
        rollouts: &Rollouts,
        buffer: &ExperienceBuffer,
        numbers: &[usize],
        origins: Vec<String>,
    ) -> Result<Self> {
        let packed = rollouts.pack(numbers);
        let value_rows = value_rows(&packed, numbers.iter().map(|&number| buffer.places()[number]));
        Ok(Self { packed, value_rows, remembered: buffer.of(numbers)?, origins })
    }
}

/// The rows of the stream in whose state each place stands: a token's is the row that predicts it, the place after the
/// last token is that token's own row.
pub(crate) fn value_rows(packed: &Packed, places: impl Iterator<Item = usize>) -> Vec<u32> {
    let mut rows = Vec::with_capacity(packed.targets.len());
    let mut targets = packed.targets.rows.iter().zip(&packed.targets.sequences).peekable();
    for ((sequence, end), places) in (0u32..).zip(packed.completion_ends()).zip(places) {
        let first = rows.len();
        while let Some((&row, _)) = targets.next_if(|(_, of)| **of == sequence) {
            rows.push(row);
        }
        if rows.len() - first < places {
            rows.push(end);
        }
    }
    rows
}

/// The objective over tracked parameters.
#[doc(alias = "ppo_loss")]
pub struct PpoObjective {
    models: ActorCritic,
    loss: PpoLoss,
    temperature: f64,
}

impl PpoObjective {
    /// Over a policy and its critic; logits are divided by `temperature`, as they were in sampling.
    pub fn new(models: ActorCritic, loss: PpoLoss, temperature: f64) -> Self {
        Self { models, loss, temperature }
    }

    /// Log-probs of a pack's completions, `[tokens]`.
    pub(super) fn log_probs(&self, packed: &Packed) -> Result<Tensor> {
        let policy = &self.models.policy;
        let hidden = policy.decoder().hidden(&packed.stream, &packed.targets.rows)?;
        Ok(policy.label_log_probs(&hidden, &packed.targets.labels, self.temperature)?.0)
    }
}

impl Objective for PpoObjective {
    type Batch = PpoBatch;

    fn weights(&self, batch: &PpoBatch) -> Weights {
        Weights::of(TOKENS, batch.packed.targets.len() as f64).with(PLACES, batch.value_rows.len() as f64)
    }

    fn loss<'a>(&'a self, batch: &'a PpoBatch, totals: &Weights) -> Result<StepLoss<'a>> {
        let PpoLoss { cliprange, cliprange_value, vf_coef, entropy_coef } = self.loss;
        let ActorCritic { policy, critic } = &self.models;
        let (targets, places) = (&batch.packed.targets, &batch.value_rows);
        let rows = [&*targets.rows, critic.reads(places)].concat();
        let hidden = policy.decoder().hidden(&batch.packed.stream, &rows)?;
        let device = hidden.device();
        let Remembered { old_log_probs: old, advantages, values: old_values, returns } =
            batch.remembered.to_device(device)?;

        let chosen = hidden.narrow(0, 0, targets.len())?;
        let (log_probs, stats) = policy.label_log_probs(&chosen, &targets.labels, self.temperature)?;
        let surrogate = ppo_clip(&log_probs, &old, &advantages, Clip::symmetric(cliprange))?;

        let of_places = || hidden.narrow(0, targets.len(), places.len());
        let values = critic.values(of_places, places, &batch.packed.stream)?;
        let value_loss = clipped_value_loss(&values, &old_values, &returns, cliprange_value)?;

        let share = |losses: &Tensor, of: &str| losses.sum_all()? / totals.get(of);
        let mut loss = (share(&surrogate.losses, TOKENS)? + (share(&value_loss.losses, PLACES)? * vf_coef)?)?;
        if entropy_coef > 0.0 {
            let entropies = entropy(&policy.next_token_logits(&chosen, self.temperature)?)?;
            loss = (loss - (share(&entropies, TOKENS)? * entropy_coef)?)?;
        }

        let log_probs = log_probs.detach();
        let reported = [
            ("loss/policy_avg", surrogate.losses.detach()),
            ("loss/value_avg", value_loss.losses.detach()),
            ("policy/approxkl_avg", k2(&log_probs, &old)?),
            ("policy/clipfrac_avg", (surrogate.clipped_low + surrogate.clipped_high)?),
            ("policy/entropy_avg", stats.entropy.detach()),
            ("val/clipfrac_avg", value_loss.clipped),
            ("val/ratio", (log_probs - old)?.exp()?),
        ];
        Ok(StepLoss::new(loss, move || {
            let mut metrics = Metrics::default();
            for (name, values) in reported {
                let sum = values.to_vec1::<f32>()?.into_iter().map(f64::from).sum();
                metrics.mean(name, sum, values.elem_count() as f64);
            }
            Ok(metrics)
        }))
    }

    fn rows(&self, batch: &PpoBatch) -> Vec<String> {
        batch.origins.clone()
    }
}
