//! What training on single answers minimises: KTO, APO-zero unpaired, BCO.

use std::path::Path;
use std::sync::{Arc, Mutex};

use align_data::{RowSource, TokenizedCompletion};
use align_losses::{
    RunningMoments, apo_zero_unpaired, bco, desirability_weighted, kto, kto_kl, sequence_log_probs,
};
use align_models::{CausalLm, Packed, Reference};
use align_train::{Error, Objective, Ranks, Result, StepLoss, Update, Weights};
use candle_core::{DType, Device, Tensor};

use crate::metrics::{largest, unpaired_metrics};
use crate::{MovingReference, Scoring, UnpairedBatch, UnpairedLoss, UnpairedMethod};

/// The one loss term: every answer counts the same.
const ROWS: &str = "rows";

const MOMENTS: &str = "running_moments.json";

/// A policy, its reference, and a loss on single answers. Over tracked parameters it trains, over a view it
/// only measures.
pub struct Unpaired {
    policy: CausalLm,
    reference: Reference,
    method: UnpairedMethod,
    moving: Option<MovingReference>,
    /// BCO's running mean of rewards, shared with the objective that measures.
    moments: Arc<Mutex<RunningMoments>>,
    learns: bool,
    ranks: Ranks,
}

/// What a batch says of the policy, `[rows]`.
struct Computed {
    losses: Tensor,
    rewards: Tensor,
    policy: Tensor,
    /// KTO's estimate, a scalar.
    kl: Option<Tensor>,
}

impl Unpaired {
    /// The objective over a policy's parameters, however they are held.
    pub fn new(policy: CausalLm, reference: Reference, method: UnpairedMethod) -> Self {
        let moments = Arc::new(Mutex::new(RunningMoments::default()));
        Self { policy, reference, method, moving: None, moments, learns: true, ranks: Ranks::default() }
    }

    /// The same with a reference that follows the policy.
    #[must_use]
    pub fn with_moving_reference(self, moving: Option<MovingReference>) -> Self {
        Self { moving, ..self }
    }

    /// The same as one of several ranks, whose rewards BCO's running mean counts as if they were of one.
    #[must_use]
    pub fn on(self, ranks: Ranks) -> Self {
        Self { ranks, ..self }
    }

    /// The same loss over other views of the models, to measure with: it follows this one's running mean and
    /// does not change it.
    #[must_use]
    pub fn measuring(&self, policy: CausalLm, reference: Reference) -> Self {
        let moments = Arc::clone(&self.moments);
        let ranks = Ranks::default();
        Self { policy, reference, method: self.method, moving: None, moments, learns: false, ranks }
    }

    /// Refuses a start that cannot be: weights that give no finite log-probs, or a policy that is its own
    /// reference and has rewards.
    ///
    /// # Errors
    /// With what was found.
    pub fn check_start(&self, batch: &UnpairedBatch, starts_as_its_reference: bool) -> Result<()> {
        let (policy, reference, _) = self.log_probs(batch)?;
        let reward = self.method.beta * largest(&(policy - reference)?)?;
        if !reward.is_finite() {
            let problem =
                "the model's log-probs are not finite before the first step: its weights are damaged";
            return Err(Error::stage(problem));
        }
        if starts_as_its_reference && reward > 1e-3 {
            return Err(Error::stage(format!(
                "the policy starts as its own reference, so implicit rewards must be 0; found rewards up to \
                 {reward:.4}: policy and reference are not computed alike"
            )));
        }
        Ok(())
    }

    /// Log-probs of the answers under policy and reference, and KTO's estimate of the KL.
    fn log_probs(&self, batch: &UnpairedBatch) -> candle_core::Result<(Tensor, Tensor, Option<Tensor>)> {
        let policy = self.method.score(&self.policy, batch)?;
        let live = |model: &CausalLm| self.method.score(model, batch);
        let reference = self.reference.log_probs(&batch.sequence_numbers(), policy.device(), live);
        let (policy, policy_other) = batch.by_row(&policy)?;
        let (reference, reference_other) = batch.by_row(&reference.map_err(candle_core::Error::wrap)?)?;
        let kl = match (policy_other, reference_other) {
            (Some(policy), Some(reference)) => Some(kto_kl(&policy, &reference)?),
            _ => None,
        };
        Ok((policy, reference, kl))
    }

    fn compute(&self, batch: &UnpairedBatch) -> Result<Computed> {
        let UnpairedMethod { loss, beta, desirable_weight, undesirable_weight, .. } = self.method;
        let (policy, reference, kl) = self.log_probs(batch)?;
        let ratios = (&policy - reference)?;
        let rewards = (ratios.detach() * beta)?;
        let desirable = batch.mask(policy.device())?;
        let losses = match loss {
            UnpairedLoss::Kto => {
                let kl =
                    kl.as_ref().ok_or_else(|| Error::stage("KTO's batches must have mismatched answers"))?;
                kto(&ratios, &desirable, kl, beta)?
            }
            UnpairedLoss::ApoZero => apo_zero_unpaired(&ratios, &desirable, beta)?,
            UnpairedLoss::Bco => bco(&ratios, &desirable, beta, self.delta(&rewards)?)?,
        };
        let losses = desirability_weighted(&losses, &desirable, desirable_weight, undesirable_weight)?;
        Ok(Computed { losses, rewards, policy, kl })
    }

    /// BCO's running mean of rewards; training counts the batch in first.
    fn delta(&self, rewards: &Tensor) -> Result<f64> {
        if !self.learns {
            return Ok(self.moments.lock().expect("no holder of this lock can panic").mean);
        }
        let rewards = rewards.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        self.counted(rewards.to_vec1::<f64>()?)
    }

    /// Counts the rewards of all ranks' micro-batches, in their order, and returns the mean as it is after this rank's.
    fn counted(&self, own: Vec<f64>) -> Result<f64> {
        let all = self.ranks.each(own)?;
        let mut moments = self.moments.lock().expect("as above");
        let mut mean = moments.mean;
        for (rank, rewards) in all.iter().enumerate() {
            moments.update(rewards);
            if rank == self.ranks.rank() {
                mean = moments.mean;
            }
        }
        Ok(mean)
    }
}

impl Scoring for UnpairedMethod {
    type Row = TokenizedCompletion;
    type Batch = UnpairedBatch;

    fn pack(
        &self,
        rows: RowSource<'_, TokenizedCompletion>,
        indices: &[usize],
    ) -> align_data::Result<UnpairedBatch> {
        match self.loss {
            UnpairedLoss::Kto => UnpairedBatch::with_mismatched(rows, indices, self.max_length),
            UnpairedLoss::ApoZero | UnpairedLoss::Bco => UnpairedBatch::new(rows, indices),
        }
    }

    fn packed(batch: &UnpairedBatch) -> &Packed {
        &batch.packed
    }

    fn sequence_log_probs(&self, batch: &UnpairedBatch, tokens: &Tensor) -> candle_core::Result<Tensor> {
        sequence_log_probs(tokens, &batch.packed.targets.sequences, batch.packed.sequences)
    }

    fn context(row: &TokenizedCompletion) -> &[u32] {
        &row.unlearned
    }

    fn depends_on(&self) -> String {
        String::new()
    }
}

impl Objective for Unpaired {
    type Batch = UnpairedBatch;

    fn weights(&self, batch: &UnpairedBatch) -> Weights {
        Weights::of(ROWS, batch.len() as f64)
    }

    fn loss<'a>(&'a self, batch: &'a UnpairedBatch, totals: &Weights) -> Result<StepLoss<'a>> {
        let Computed { losses, rewards, policy, kl } = self.compute(batch)?;
        let policy = policy.detach();
        let metrics = move || unpaired_metrics(batch, &rewards, &policy, kl.as_ref(), self.learns);
        Ok(StepLoss::new((losses.sum_all()? / totals.get(ROWS))?, metrics))
    }

    fn rows(&self, batch: &UnpairedBatch) -> Vec<String> {
        batch.origins()
    }

    fn pass(&self) -> Result<()> {
        match self.method.loss {
            UnpairedLoss::Bco => self.counted(Vec::new()).map(drop),
            UnpairedLoss::Kto | UnpairedLoss::ApoZero => Ok(()),
        }
    }

    fn after_update(&mut self, update: &Update) -> Result<()> {
        Ok(self.moving.as_ref().map_or(Ok(()), |moving| moving.after_update(update.step))?)
    }

    fn save_state(&self, dir: &Path) -> Result<()> {
        if self.method.loss == UnpairedLoss::Bco {
            let RunningMoments { mean, var, std, count } = *self.moments.lock().expect("as above");
            crate::state::write(&dir.join(MOMENTS), &[mean, var, std, count])?;
        }
        self.moving.as_ref().map_or(Ok(()), |moving| moving.save(dir))
    }

    fn restore_state(&mut self, dir: &Path) -> Result<()> {
        if self.method.loss == UnpairedLoss::Bco {
            let [mean, var, std, count] = crate::state::read(&dir.join(MOMENTS))?;
            *self.moments.lock().expect("as above") = RunningMoments { mean, var, std, count };
        }
        self.moving.as_ref().map_or(Ok(()), |moving| moving.restore(dir))
    }
}
