//! PPO with a critic (Ouyang et al. 2022, arXiv:2203.02155, on Schulman et al. 2017, arXiv:1707.06347).
//!
//! [`Ppo::learn`] is the method, from top to bottom: values of what was sampled, rewards and advantages, then passes over
//! shuffled mini-batches with the clipped losses of [`PpoObjective`].

mod objective;
mod options;

use std::fs;
use std::path::Path;

use align_models::Packed;
use align_train::{Error, Metrics, Ranks, Result, Update, Updater};
use candle_core::Tensor;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub(crate) use objective::value_rows;
pub use objective::{PpoBatch, PpoLoss, PpoObjective};
pub use options::{KlCoefficient, PPO_LEARNING_RATE, PpoConfig, PpoOptions, ValueModel};

use crate::experience::ExperienceBuffer;
use crate::shares::dealt;
use crate::value::ActorCritic;
use crate::{Learned, Method, Phase, Rollouts, Sampling};

const STATE: &str = "ppo.json";

/// The method.
#[doc(alias = "PPOTrainer")]
pub struct Ppo {
    config: PpoConfig,
    max_new_tokens: usize,
    /// Over a view of the parameters: values of what was sampled.
    seen: ActorCritic,
    objective: PpoObjective,
    kl: KlCoefficient,
    rng: ChaCha8Rng,
}

/// What a checkpoint holds of the method beside the weights.
#[derive(Serialize, Deserialize)]
struct State {
    kl_coef: f64,
    rng: ChaCha8Rng,
}

impl Ppo {
    /// PPO over a policy and a critic, once tracked and once as a view; `seed` shuffles mini-batches.
    pub fn new(
        config: PpoConfig,
        tracked: ActorCritic,
        view: ActorCritic,
        sampling: &Sampling,
        seed: u64,
    ) -> Self {
        Self {
            max_new_tokens: sampling.max_new_tokens(),
            seen: view,
            objective: PpoObjective::new(tracked, config.loss, sampling.temperature()),
            kl: config.kl,
            rng: ChaCha8Rng::seed_from_u64(seed),
            config,
        }
    }

    /// This rank's micro-batches of the update on one mini-batch's completions.
    fn window(
        &self,
        phase: &Phase<'_>,
        buffer: &ExperienceBuffer,
        mini_batch: &[usize],
        ranks: &Ranks,
    ) -> Result<Vec<PpoBatch>> {
        let batch = |numbers: &[usize]| {
            // Completions of one prompt beside each other share it.
            let mut numbers = numbers.to_vec();
            numbers.sort_unstable();
            let origins = numbers.iter().map(|&number| phase.origin(number)).collect();
            PpoBatch::new(phase.rollouts, buffer, &numbers, origins)
        };
        let micro_batches = mini_batch.chunks(self.config.micro_batch_size).enumerate();
        micro_batches.filter(|(number, _)| ranks.has(*number)).map(|(_, numbers)| batch(numbers)).collect()
    }
}

impl Method for Ppo {
    fn name(&self) -> &'static str {
        "ppo"
    }

    fn num_generations(&self) -> usize {
        1
    }

    fn completions_per_phase(&self) -> usize {
        self.config.completions_per_phase()
    }

    fn updates_per_phase(&self) -> usize {
        self.config.updates_per_phase()
    }

    fn needs_reference(&self) -> bool {
        true
    }

    fn micro_batch_size(&self) -> usize {
        self.config.micro_batch_size
    }

    fn log_probs(&self, packed: &Packed) -> Result<Tensor> {
        self.objective.log_probs(packed)
    }

    fn learn(&mut self, phase: &Phase<'_>, updater: &mut Updater) -> Result<Learned> {
        let Phase { rollouts, scores, old_log_probs, reference_log_probs, .. } = *phase;
        let estimation = self.config.estimation;
        let (old, reference, most) = (old_log_probs, reference_log_probs, self.max_new_tokens);
        let mut buffer = ExperienceBuffer::new(estimation, rollouts, scores, old, reference, most)?;
        let ranks = updater.ranks().clone();
        let of_part = |own: &Rollouts, numbers| self.seen.values(own, &buffer.places()[numbers]);
        buffer.set_values(dealt(&ranks, rollouts, of_part)?)?;
        let kl_coef = self.kl.value();
        let figures = buffer.compute_advantages(kl_coef)?;

        let mut updates: Vec<Update> = Vec::new();
        let mut order: Vec<usize> = (0..rollouts.completions.len()).collect();
        let mini_batch = order.len().div_ceil(self.config.num_mini_batches);
        'updates: for _ in 0..self.config.num_ppo_epochs {
            order.shuffle(&mut self.rng);
            for numbers in order.chunks(mini_batch) {
                let window = self.window(phase, &buffer, numbers, &ranks)?;
                let update = updater.update(&mut self.objective, &window)?;
                let went = update.metrics.get("policy/approxkl_avg").unwrap_or_default();
                updates.push(update);
                if self.config.early_stop_kl.is_some_and(|most| went > most) {
                    break 'updates;
                }
            }
        }
        self.kl.update(figures.kl, rollouts.completions.len())?;

        let mut metrics = Metrics::default();
        for (name, value) in [
            ("objective/kl", figures.kl),
            ("objective/entropy", figures.entropy),
            ("objective/non_score_reward", figures.non_score_reward),
            ("objective/rlhf_reward", figures.rlhf_reward),
            ("objective/kl_coef", kl_coef),
            ("val/explained_variance", buffer.explained_variance()),
            ("val/ratio_var", ratio_variance(&updates)),
            ("val/num_eos_tokens", finished(rollouts)),
        ] {
            metrics.mean(name, value, 1.0);
        }
        Ok(Learned { updates, metrics })
    }

    fn kl_coef(&self) -> f64 {
        self.kl.value()
    }

    fn raise_kl(&mut self, factor: f64) {
        self.kl.set(self.kl.value() * factor);
    }

    fn save_state(&self, dir: &Path) -> Result<()> {
        let state = State { kl_coef: self.kl.value(), rng: self.rng.clone() };
        Ok(align_files::write_json(dir.join(STATE), &state)?)
    }

    fn restore_state(&mut self, dir: &Path) -> Result<()> {
        let path = dir.join(STATE);
        let json = fs::read(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let unreadable = |error| Error::stage(format!("{}: {error}", path.display()));
        let state: State = serde_json::from_slice(&json).map_err(unreadable)?;
        self.kl.set(state.kl_coef);
        self.rng = state.rng;
        Ok(())
    }
}

/// TRL's `val/ratio_var`: of the updates' mean ratios.
fn ratio_variance(updates: &[Update]) -> f64 {
    let ratios: Vec<f64> = updates.iter().filter_map(|update| update.metrics.get("val/ratio")).collect();
    crate::scoring::moments(&ratios).1.powi(2)
}

fn finished(rollouts: &Rollouts) -> f64 {
    rollouts.completions.iter().filter(|completion| completion.finished).count() as f64
}
