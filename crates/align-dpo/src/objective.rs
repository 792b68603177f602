//! What training on preference pairs minimises.

use std::path::Path;

use align_data::{RowSource, TokenizedPair};
use align_losses::{LogRatios, PairLengths, PairLogProbs, Sequences, ld_log_probs, wpo_weights};
use align_models::{CausalLm, Packed, Reference};
use align_train::{Error, Objective, Result, StepLoss, Update, Weights};
use candle_core::Tensor;

use crate::displacement::DisplacementMonitor;
use crate::metrics::{Measured, largest};
use crate::{Labels, MovingReference, PairBatch, PairMethod, Pairs, Scoring};

/// The term of the losses per pair: every pair counts the same.
const PAIRS: &str = "pairs";
/// The likelihood term: every token it learns counts the same, however the window is cut.
const TOKENS: &str = "tokens";

/// A policy, what it is compared with, and how. Over tracked parameters it trains, over a view it only
/// measures.
pub struct Preference {
    policy: CausalLm,
    reference: Option<Reference>,
    method: PairMethod,
    moving: Option<MovingReference>,
    displacement: DisplacementMonitor,
}

/// What a batch says of the policy.
pub(crate) struct Computed {
    /// The weighted losses, `[pairs]`.
    pub(crate) losses: Tensor,
    /// What the rewards are made of.
    pub(crate) ratios: LogRatios,
    pub(crate) policy: PairLogProbs,
    pub(crate) lengths: PairLengths,
    /// WPO's weights of the pairs, `[pairs]`.
    weights: Option<Tensor>,
    /// Σ −log π over the tokens of the likelihood term.
    pub(crate) nll: Option<Tensor>,
}

impl Preference {
    /// The objective over a policy's parameters, however they are held. `reference` may be missing where the
    /// method needs none.
    pub fn new(policy: CausalLm, reference: Option<Reference>, method: PairMethod) -> Self {
        Self { policy, reference, method, moving: None, displacement: DisplacementMonitor::default() }
    }

    /// The same with a reference that follows the policy.
    #[must_use]
    pub fn with_moving_reference(self, moving: Option<MovingReference>) -> Self {
        Self { moving, ..self }
    }

    /// Refuses a start that cannot be: a policy that is its own reference has no reward, and the loss that it
    /// has against itself. Anything else means that the two are not computed alike.
    ///
    /// # Errors
    /// With what was found.
    pub fn check_start(&self, batch: &PairBatch, starts_as_its_reference: bool) -> Result<()> {
        let Computed { losses, ratios, policy, lengths, weights, .. } = self.compute(batch)?;
        let rewards = ratios.rewards(self.method.beta)?;
        let reward = largest(&rewards.chosen)?.max(largest(&rewards.rejected)?);
        if !(reward.is_finite() && largest(&losses)?.is_finite()) {
            let problem =
                "the model's log-probs are not finite before the first step: its weights are damaged";
            return Err(Error::stage(problem));
        }
        if !(starts_as_its_reference && self.method.needs_reference()) {
            return Ok(());
        }
        let against_itself = self.method.ratios(&policy, &policy, &lengths)?;
        let pairs = Pairs { ratios: &against_itself, policy: &policy, reference: &policy, lengths: &lengths };
        let expected = weighted(self.method.loss(&pairs)?, weights.as_ref())?;
        let deviation = largest(&(losses - &expected)?)?;
        // Precomputed log-probs come from other batches, so sums differ in their last bits.
        let scale = 1.0 + largest(&expected)?;
        if reward <= 1e-3 && deviation <= 1e-3 * scale {
            return Ok(());
        }
        Err(Error::stage(format!(
            "the policy starts as its own reference, so implicit rewards must be 0 and losses those of the policy \
             against itself; found rewards up to {reward:.4} and a loss off by {deviation:.4}: policy and reference \
             are not computed alike"
        )))
    }

    /// Losses of a batch, and the log-probs they come from.
    pub(crate) fn compute(&self, batch: &PairBatch) -> candle_core::Result<Computed> {
        let (tokens, weights) = self.tokens(batch)?;
        let sums = self.method.sequence_log_probs(batch, &tokens)?;
        let device = sums.device();
        let (policy, lengths) = (batch.by_answer(&sums)?, batch.answer_lengths(device)?);
        let reference = match &self.reference {
            None => policy.detach(),
            Some(reference) => {
                let live = |model: &CausalLm| self.method.score(model, batch);
                let log_probs = reference.log_probs(&batch.answer_numbers(), device, live);
                batch.by_answer(&log_probs.map_err(candle_core::Error::wrap)?)?
            }
        };
        let ratios = self.method.ratios(&policy, &reference, &lengths)?;
        let pairs = Pairs { ratios: &ratios, policy: &policy, reference: &reference, lengths: &lengths };
        let losses = weighted(self.method.loss(&pairs)?, weights.as_ref())?;
        let nll = match self.method.likelihood {
            None => None,
            // A likelihood counts every token, whatever the comparison does.
            Some((labels, _)) => {
                let plain = sequences(batch, &tokens)?.sums(&tokens)?;
                Some(self.labelled(batch, &plain, labels)?.sum_all()?.neg()?)
            }
        };
        Ok(Computed { losses, ratios, policy, lengths, weights, nll })
    }

    /// Log-probs of the tokens and, with WPO, the weights of the pairs: the product of their answers'.
    fn tokens(&self, batch: &PairBatch) -> candle_core::Result<(Tensor, Option<Tensor>)> {
        if !self.method.use_weighting {
            return Ok((self.policy.token_log_probs(&batch.packed)?, None));
        }
        let (tokens, stats) = self.policy.token_log_probs_with_stats(&batch.packed)?;
        let weights = wpo_weights(&tokens, &stats.log_sum_sq_probs, &sequences(batch, &tokens)?)?;
        let weights = batch.by_answer(&weights)?;
        Ok((tokens, Some((weights.chosen * weights.rejected)?)))
    }

    /// Log-probs of the sequences that the likelihood term learns, `[pairs]`.
    fn labelled(&self, batch: &PairBatch, sums: &Tensor, labels: Labels) -> candle_core::Result<Tensor> {
        match labels {
            Labels::Chosen => Ok(batch.by_answer(sums)?.chosen),
            Labels::PromptAndChosen => batch.of_prompts(sums)? + batch.by_answer(sums)?.chosen,
            Labels::Gold => batch.of_gold(sums),
        }
    }

    /// Tokens that the likelihood term learns from the batch.
    pub(crate) fn labelled_tokens(&self, batch: &PairBatch) -> usize {
        let Some((labels, _)) = self.method.likelihood else { return 0 };
        let lengths = batch.lengths();
        let of_pair = |pair: &[usize]| match (labels, pair) {
            (Labels::Chosen, [chosen, ..]) => *chosen,
            (Labels::PromptAndChosen, [prompt, chosen, ..]) => prompt + chosen,
            (Labels::Gold, [.., gold]) => *gold,
            _ => 0,
        };
        lengths.chunks(batch.sequences_per_pair()).map(of_pair).sum()
    }
}

impl Scoring for PairMethod {
    type Row = TokenizedPair;
    type Batch = PairBatch;

    fn pack(&self, rows: RowSource<'_, TokenizedPair>, indices: &[usize]) -> align_data::Result<PairBatch> {
        match self.likelihood {
            Some((Labels::PromptAndChosen, _)) => PairBatch::with_prompts(rows, indices),
            Some((Labels::Gold, _)) => PairBatch::with_gold(rows, indices),
            Some((Labels::Chosen, _)) | None => PairBatch::new(rows, indices),
        }
    }

    fn packed(batch: &PairBatch) -> &Packed {
        &batch.packed
    }

    fn sequence_log_probs(&self, batch: &PairBatch, tokens: &Tensor) -> candle_core::Result<Tensor> {
        let sequences = sequences(batch, tokens)?;
        let Some(alpha) = self.ld_alpha else { return sequences.sums(tokens) };
        let pairs = sequences.lengths().chunks(batch.sequences_per_pair());
        let shared: Vec<usize> =
            pairs.flat_map(|pair| vec![pair.iter().copied().min().unwrap_or(0); pair.len()]).collect();
        ld_log_probs(tokens, &sequences, &shared, alpha)
    }

    fn context(row: &TokenizedPair) -> &[u32] {
        &row.unlearned
    }

    fn depends_on(&self) -> String {
        self.ld_alpha.map_or_else(String::new, |alpha| format!("ld_alpha {alpha}"))
    }
}

fn weighted(losses: Tensor, weights: Option<&Tensor>) -> candle_core::Result<Tensor> {
    match weights {
        None => Ok(losses),
        Some(weights) => losses * weights,
    }
}

/// Which scored tokens make which sequence.
fn sequences(batch: &PairBatch, tokens: &Tensor) -> candle_core::Result<Sequences> {
    Sequences::packed(&batch.packed.targets.sequences, batch.packed.sequences, tokens.device())
}

impl Objective for Preference {
    type Batch = PairBatch;

    fn weights(&self, batch: &PairBatch) -> Weights {
        Weights::of(PAIRS, batch.len() as f64).with(TOKENS, self.labelled_tokens(batch) as f64)
    }

    fn loss<'a>(&'a self, batch: &'a PairBatch, totals: &Weights) -> Result<StepLoss<'a>> {
        let computed = self.compute(batch)?;
        let mut loss = (computed.losses.sum_all()? / totals.get(PAIRS))?;
        if let (Some(nll), Some((_, weight))) = (&computed.nll, self.method.likelihood) {
            loss = (loss + (nll * (weight / totals.get(TOKENS)))?)?;
        }
        let Computed { ratios, policy, lengths, nll, .. } = computed;
        let measured = Measured {
            rewards: ratios.rewards(self.method.beta)?,
            policy: policy.detach(),
            lengths,
            nll: nll.map(|nll| nll.detach()),
            labelled_tokens: self.labelled_tokens(batch),
        };
        Ok(StepLoss::new(loss, move || measured.metrics(&self.method, batch)))
    }

    fn rows(&self, batch: &PairBatch) -> Vec<String> {
        batch.origins()
    }

    fn after_update(&mut self, update: &Update) -> Result<()> {
        if self.method.watches_displacement() {
            self.displacement.observe(&update.metrics, self.method.beta);
        }
        Ok(self.moving.as_ref().map_or(Ok(()), |moving| moving.after_update(update.step))?)
    }

    fn save_state(&self, dir: &Path) -> Result<()> {
        self.displacement.save(dir)?;
        self.moving.as_ref().map_or(Ok(()), |moving| moving.save(dir))
    }

    fn restore_state(&mut self, dir: &Path) -> Result<()> {
        self.displacement = DisplacementMonitor::restore(dir)?;
        self.moving.as_ref().map_or(Ok(()), |moving| moving.restore(dir))
    }
}
