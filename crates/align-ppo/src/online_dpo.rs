//! Online DPO (Guo et al. 2024, arXiv:2402.04792): two completions of a prompt, the better one by its score preferred to
//! the other in a DPO step.
//!
//! The pairs are the policy's own, so there is no ratio to clip; what holds the policy to the reference is DPO's β. A
//! pair whose scores are equal prefers nothing and is left out.
//!
//! At a temperature other than 1 the log-ratios are those of policy and reference at that temperature: the distributions
//! that the completions are samples of, and not those that a model has at temperature 1.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use align_kernels::TokenStats;
use align_losses::{LogRatios, PairLogProbs, Sequences, dpo};
use align_models::{CausalLm, Packed};
use align_train::{Error, Metrics, Objective, Ranks, Result, StepLoss, Updater, Weights};
use candle_core::{DType, Tensor};

use crate::refusal::{check_phase, refuse};
use crate::{Learned, Method, Phase, Rule, Supervised};

const STATE: &str = "online_dpo.json";
/// The term of the losses: every pair counts the same.
const PAIRS: &str = "pairs";

/// The checked options of online DPO.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnlineDpoConfig {
    /// β: how strongly the policy is held to the reference; TRL's default is 0.1.
    pub beta: f64,
    /// The temperature that logits are divided by, in sampling and in the log-ratios.
    pub temperature: f64,
    /// Pairs, that is prompts, per micro-batch.
    pub per_device_train_batch_size: usize,
    /// Micro-batches per update, on each rank; a phase is one update.
    pub gradient_accumulation_steps: usize,
    /// Ranks, among which a phase is dealt.
    pub ranks: usize,
}

impl OnlineDpoConfig {
    /// Refuses numbers that are none.
    ///
    /// # Errors
    /// Names the option.
    pub fn check(self) -> Result<Self> {
        if !(self.beta.is_finite() && self.beta > 0.0) {
            return refuse("beta", self.beta, "must be a positive number");
        }
        check_phase(&[
            ("per_device_train_batch_size", self.per_device_train_batch_size),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps),
            ("completions of a prompt", 2),
            ("ranks", self.ranks),
        ])?;
        Ok(self)
    }

    /// The supervision that this method allows: its rules, and those that nothing is measured for.
    pub fn supervised(&self) -> Supervised {
        let without = BTreeMap::from([
            (Rule::ValueLoss, "the method has no critic"),
            (Rule::ClipFraction, "the method has no importance ratio"),
            (Rule::RatioDrift, "the method has no importance ratio"),
        ]);
        Supervised { kl_penalty: true, without }
    }
}

/// Online DPO at work on a policy.
pub struct OnlineDpo {
    objective: PairObjective,
    config: OnlineDpoConfig,
}

/// A policy under DPO's loss.
struct PairObjective {
    policy: CausalLm,
    beta: f64,
    temperature: f64,
}

/// Pairs of completions, the better one first, each behind its prompt.
struct OwnPairs {
    packed: Packed,
    /// log π_ref of each completion, `[2 · pairs]`.
    reference: Vec<f32>,
    rows: Vec<String>,
}

impl OnlineDpo {
    /// Over a policy's tracked parameters.
    pub fn new(policy: CausalLm, config: OnlineDpoConfig) -> Self {
        let OnlineDpoConfig { beta, temperature, .. } = config;
        Self { objective: PairObjective { policy, beta, temperature }, config }
    }

    /// The pairs of a phase, by the numbers of their completions, the better one first.
    fn pairs(phase: &Phase<'_>) -> Vec<[usize; 2]> {
        (0..phase.rollouts.prompts.len())
            .filter_map(|prompt| {
                let (first, second) = (2 * prompt, 2 * prompt + 1);
                let margin = phase.scores[first] - phase.scores[second];
                match margin.partial_cmp(&0.0)? {
                    std::cmp::Ordering::Greater => Some([first, second]),
                    std::cmp::Ordering::Less => Some([second, first]),
                    std::cmp::Ordering::Equal => None,
                }
            })
            .collect()
    }

    /// This rank's micro-batches of the pairs.
    fn window(&self, phase: &Phase<'_>, pairs: &[[usize; 2]], ranks: &Ranks) -> Vec<OwnPairs> {
        let reference =
            |number: usize| phase.reference_log_probs[number].iter().map(|&p| f64::from(p)).sum::<f64>();
        let micro_batches = pairs.chunks(self.config.per_device_train_batch_size).enumerate();
        micro_batches
            .filter(|(number, _)| ranks.has(*number))
            .map(|(_, pairs)| {
                let numbers: Vec<usize> = pairs.iter().flatten().copied().collect();
                OwnPairs {
                    packed: phase.rollouts.pack(&numbers),
                    reference: numbers.iter().map(|&number| reference(number) as f32).collect(),
                    rows: pairs.iter().map(|pair| phase.origin(pair[0])).collect(),
                }
            })
            .collect()
    }
}

impl PairObjective {
    /// Log-probs of a pack's completions, `[tokens]`, and what the same pass says beside them.
    fn log_probs(&self, packed: &Packed) -> candle_core::Result<(Tensor, TokenStats)> {
        let hidden = self.policy.decoder().hidden(&packed.stream, &packed.targets.rows)?;
        self.policy.label_log_probs(&hidden, &packed.targets.labels, self.temperature)
    }
}

impl Objective for PairObjective {
    type Batch = OwnPairs;

    fn weights(&self, batch: &OwnPairs) -> Weights {
        Weights::of(PAIRS, batch.rows.len() as f64)
    }

    fn loss<'a>(&'a self, batch: &'a OwnPairs, totals: &Weights) -> Result<StepLoss<'a>> {
        let Packed { targets, sequences, .. } = &batch.packed;
        let (tokens, stats) = self.log_probs(&batch.packed)?;
        let device = tokens.device();
        let policy = by_side(&Sequences::packed(&targets.sequences, *sequences, device)?.sums(&tokens)?)?;
        let reference = by_side(&Tensor::new(batch.reference.as_slice(), device)?)?;
        let ratios = LogRatios::new(&policy, &reference)?;
        let loss = (dpo(&ratios, self.beta)?.sum_all()? / totals.get(PAIRS))?;

        let rewards = ratios.rewards(self.beta)?;
        let (policy, entropy) = (policy.detach(), stats.entropy.detach());
        Ok(StepLoss::new(loss, move || {
            let (chosen, rejected) = (values(&rewards.chosen)?, values(&rewards.rejected)?);
            let pairs = batch.rows.len() as f64;
            let mut metrics = Metrics::default();
            metrics.mean("rewards/chosen", chosen.iter().sum(), pairs);
            metrics.mean("rewards/rejected", rejected.iter().sum(), pairs);
            let margins: Vec<f64> =
                chosen.iter().zip(&rejected).map(|(chosen, rejected)| chosen - rejected).collect();
            metrics.mean("rewards/margins", margins.iter().sum(), pairs);
            let hit = |margin: &f64| if *margin == 0.0 { 0.5 } else { f64::from(u8::from(*margin > 0.0)) };
            metrics.mean("rewards/accuracies", margins.iter().map(hit).sum(), pairs);
            metrics.mean("logps/chosen", values(&policy.chosen)?.iter().sum(), pairs);
            metrics.mean("logps/rejected", values(&policy.rejected)?.iter().sum(), pairs);
            metrics.mean("entropy", values(&entropy)?.iter().sum(), targets.len() as f64);
            Ok(metrics)
        }))
    }

    fn rows(&self, batch: &OwnPairs) -> Vec<String> {
        batch.rows.clone()
    }
}

impl Method for OnlineDpo {
    fn name(&self) -> &'static str {
        "online_dpo"
    }

    fn num_generations(&self) -> usize {
        2
    }

    fn completions_per_phase(&self) -> usize {
        let OnlineDpoConfig { per_device_train_batch_size, gradient_accumulation_steps, ranks, .. } =
            self.config;
        2 * per_device_train_batch_size * gradient_accumulation_steps * ranks
    }

    fn updates_per_phase(&self) -> usize {
        1
    }

    fn needs_reference(&self) -> bool {
        true
    }

    fn micro_batch_size(&self) -> usize {
        2 * self.config.per_device_train_batch_size
    }

    fn log_probs(&self, packed: &Packed) -> Result<Tensor> {
        Ok(self.objective.log_probs(packed)?.0)
    }

    fn learn(&mut self, phase: &Phase<'_>, updater: &mut Updater) -> Result<Learned> {
        let mut metrics = Metrics::default();
        let completions = phase.old_log_probs.iter();
        let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
        let kl: f64 = completions
            .clone()
            .zip(phase.reference_log_probs)
            .map(|(old, reference)| sum(old) - sum(reference))
            .sum();
        metrics.mean("objective/kl", kl, completions.len() as f64);
        let margins =
            phase.scores.chunks(2).map(|pair| (pair[0] - pair[1]).abs()).filter(|margin| !margin.is_nan());
        let (count, margin) = margins.fold((0.0, 0.0), |(count, sum), margin| (count + 1.0, sum + margin));
        metrics.mean("objective/scores_margin", margin, count);
        metrics.mean("beta", self.objective.beta, 1.0);

        let pairs = Self::pairs(phase);
        let compared = pairs.len();
        let prompts = phase.rollouts.prompts.len();
        metrics.mean("frac_reward_zero_std", (prompts - compared) as f64, prompts as f64);
        let mut updates = Vec::new();
        if !pairs.is_empty() {
            let window = self.window(phase, &pairs, updater.ranks());
            updates.push(updater.update(&mut self.objective, &window)?);
        }
        Ok(Learned { updates, metrics })
    }

    fn kl_coef(&self) -> f64 {
        self.objective.beta
    }

    fn raise_kl(&mut self, factor: f64) {
        self.objective.beta *= factor;
    }

    fn save_state(&self, dir: &Path) -> Result<()> {
        Ok(align_files::write_json(dir.join(STATE), &serde_json::json!({ "beta": self.objective.beta }))?)
    }

    fn restore_state(&mut self, dir: &Path) -> Result<()> {
        let path = dir.join(STATE);
        let text = fs::read_to_string(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let state: serde_json::Value = serde_json::from_str(&text).map_err(Error::stage)?;
        let missing = || Error::stage(format!("{}: has no `beta`", path.display()));
        self.objective.beta = state["beta"].as_f64().ok_or_else(missing)?;
        Ok(())
    }
}

/// Values of completions `[2 · pairs]`, the better ones and the others.
fn by_side(values: &Tensor) -> candle_core::Result<PairLogProbs> {
    let pairs = values.reshape(((), 2))?;
    let side = |side| pairs.narrow(1, side, 1)?.squeeze(1)?.contiguous();
    Ok(PairLogProbs { chosen: side(0)?, rejected: side(1)? })
}

fn values(tensor: &Tensor) -> candle_core::Result<Vec<f64>> {
    let values: Vec<f32> = tensor.detach().to_dtype(DType::F32)?.to_vec1()?;
    Ok(values.into_iter().map(f64::from).collect())
}
