//! What PPO remembers of a phase: for each token of each completion its log-prob before the updates, its divergence
//! from the reference, its value, and from those its advantage and its return.
//!
//! A completion that was cut at the length limit ends there like one that ended by itself: the critic's value of what
//! would have followed is not added, as TRL has it. `align_losses::gae` takes such values; here they are 0.
//!
//! The tutorials' `PPOBuffer` with `compute_advantages`, over whole completions instead of single steps: an episode is a
//! completion, so there are no `done` flags to get wrong, and nothing flows from one episode into the next.

use align_losses::kl::{k1, k3};
use align_losses::{Sequences, gae, token_rewards, whiten, whiten_around_mean};
use align_train::{Error, Result};
use candle_core::{Device, Tensor};
use serde::Serialize;

use crate::Rollouts;
use crate::scoring::moments;

/// The estimate of the divergence that is taken off the reward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// log π − log π_ref: unbiased, may be negative
    #[default]
    K1,
    /// Never negative, low variance
    K3,
}

/// The token whose reward holds the completion's score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ScorePosition {
    /// The completion's last token
    #[default]
    LastToken,
    /// The place after it, where the completion did not fill `max_new_tokens`: as TRL's PPO has it. The critic then
    /// learns a value there too
    AfterLastToken,
}

/// The estimation of advantages from rewards: KL penalty, score, whitening, GAE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimation {
    /// The divergence taken off the reward.
    pub kl_estimator: KlEstimator,
    /// The position of the score among a completion's rewards.
    pub score_position: ScorePosition,
    /// Scores are moved into ± this.
    pub score_clip: Option<f64>,
    /// Whitening of rewards: whether they are brought to unit deviation.
    pub whiten_rewards: bool,
    /// Whitening of advantages: whether they are brought to mean 0 and unit deviation.
    pub whiten_advantages: bool,
    /// Discount γ.
    pub gamma: f64,
    /// λ of the generalized advantage estimate.
    pub lam: f64,
}

/// The experience of one phase. Of each completion a row: one number per token, or one more where the score stands after
/// the last token.
#[doc(alias = "PPOBuffer")]
#[derive(Clone, Debug)]
pub struct ExperienceBuffer {
    estimation: Estimation,
    /// Tokens of each completion.
    lengths: Vec<usize>,
    /// Places of each completion that have a value: its tokens, and perhaps the place after them.
    places: Vec<usize>,
    scores: Vec<f64>,
    old_log_probs: Vec<Vec<f32>>,
    reference: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    advantages: Vec<Vec<f32>>,
    returns: Vec<Vec<f32>>,
}

/// Figures of a phase's rewards, TRL's `objective/…`; means over completions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RewardFigures {
    /// Σ log π − log π_ref over a completion.
    pub kl: f64,
    /// Σ −log π over a completion, an estimate of its entropy.
    pub entropy: f64,
    /// −`kl_coef` times the penalised divergence of a completion.
    pub non_score_reward: f64,
    /// The score plus that: what is maximised.
    pub rlhf_reward: f64,
}

impl ExperienceBuffer {
    /// An empty buffer for completions of at most `max_new_tokens`, which are scored. Values come with
    /// [`ExperienceBuffer::set_values`].
    ///
    /// # Errors
    /// If a score is no number, or the policy or the reference says nothing of a token.
    #[doc(alias = "add")]
    pub fn new(
        estimation: Estimation,
        rollouts: &Rollouts,
        scores: &[f64],
        old_log_probs: &[Vec<f32>],
        reference_log_probs: &[Vec<f32>],
        max_new_tokens: usize,
    ) -> Result<Self> {
        let completions = &rollouts.completions;
        let lengths: Vec<usize> = completions.iter().map(|completion| completion.tokens.len()).collect();
        let of_all_tokens =
            |log_probs: &[Vec<f32>]| log_probs.iter().map(Vec::len).eq(lengths.iter().copied());
        if scores.len() != lengths.len()
            || ![old_log_probs, reference_log_probs].into_iter().all(of_all_tokens)
        {
            let (scored, old, compared) = (scores.len(), old_log_probs.len(), reference_log_probs.len());
            return Err(Error::stage(format!(
                "expected a score, and log-probs of every token by the policy and by the reference, of {} completions, found \
                 {scored}, {old} and {compared}",
                lengths.len()
            )));
        }
        if let Some(place) = scores.iter().position(|score| !score.is_finite()) {
            let (score, text) = (scores[place], &completions[place].text);
            return Err(Error::stage(format!(
                "expected finite scores, found {score} for the completion {text:?}"
            )));
        }
        let extra = |&length: &usize| match estimation.score_position {
            ScorePosition::AfterLastToken if length < max_new_tokens => length + 1,
            ScorePosition::AfterLastToken | ScorePosition::LastToken => length,
        };
        let clipped = |&score: &f64| estimation.score_clip.map_or(score, |clip| score.clamp(-clip, clip));
        Ok(Self {
            estimation,
            places: lengths.iter().map(extra).collect(),
            lengths,
            scores: scores.iter().map(clipped).collect(),
            old_log_probs: old_log_probs.to_vec(),
            reference: reference_log_probs.to_vec(),
            values: Vec::new(),
            advantages: Vec::new(),
            returns: Vec::new(),
        })
    }

    /// Places of each completion that the critic is asked about: its tokens, in order, each by the state it is
    /// chosen in; and the state after the last one where there is one more.
    pub fn places(&self) -> &[usize] {
        &self.places
    }

    /// Takes the critic's values of all places.
    ///
    /// # Errors
    /// If there are not as many.
    pub fn set_values(&mut self, values: Vec<Vec<f32>>) -> Result<()> {
        if !values.iter().map(Vec::len).eq(self.places.iter().copied()) {
            return Err(Error::stage("expected one value per place of each completion"));
        }
        self.values = values;
        Ok(())
    }

    /// Rewards per token, −`kl_coef`·KL with the score at its place, and from them advantages and returns by GAE.
    ///
    /// # Errors
    /// If values have not been set, or γ or λ are outside [0, 1].
    pub fn compute_advantages(&mut self, kl_coef: f64) -> Result<RewardFigures> {
        let Estimation { kl_estimator, whiten_rewards, whiten_advantages, gamma, lam, .. } = self.estimation;
        let device = Device::Cpu;
        let tokens = sequences(&self.lengths)?;
        let places = sequences(&self.places)?;
        let log_probs = Tensor::new(self.old_log_probs.concat(), &device)?;
        let reference = Tensor::new(self.reference.concat(), &device)?;
        let penalised = match kl_estimator {
            KlEstimator::K1 => k1(&log_probs, &reference)?,
            KlEstimator::K3 => k3(&log_probs, &reference)?,
        };
        let (kl, of_tokens) = (k1(&log_probs, &reference)?, self.token_places()?);
        let spread = Tensor::zeros(self.places.iter().sum::<usize>(), penalised.dtype(), &device)?;
        let spread = spread.index_add(&of_tokens, &penalised, 0)?;

        let mut rewards = token_rewards(&spread, &self.scores, &places, kl_coef)?;
        if whiten_rewards {
            rewards = whiten_around_mean(&rewards, &places)?;
        }
        let values = Tensor::new(self.values.concat(), &device)?;
        // Also of completions that were cut: see the top of the file.
        let ends = vec![0.0; self.places.len()];
        let estimate = gae(&rewards, &values, &places, &ends, gamma, lam)?;
        let mut advantages = estimate.advantages.index_select(&of_tokens, 0)?;
        if whiten_advantages {
            advantages = whiten(&advantages, &tokens)?;
        }
        self.advantages = rows(&advantages, &self.lengths)?;
        self.returns = rows(&estimate.returns, &self.places)?;

        let mean = |values: &Tensor| -> Result<f64> {
            let sums: Vec<f64> = tokens.sums(values)?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
            Ok(moments(&sums).0)
        };
        let non_score_reward = -kl_coef * mean(&penalised)?;
        Ok(RewardFigures {
            kl: mean(&kl)?,
            entropy: -mean(&log_probs)?,
            non_score_reward,
            rlhf_reward: non_score_reward + moments(&self.scores).0,
        })
    }

    /// Advantages of each completion's tokens; empty before [`ExperienceBuffer::compute_advantages`].
    pub fn advantages(&self) -> &[Vec<f32>] {
        &self.advantages
    }

    /// Returns: what the critic is trained towards at each place; empty before
    /// [`ExperienceBuffer::compute_advantages`].
    pub fn returns(&self) -> &[Vec<f32>] {
        &self.returns
    }

    /// Explained variance: the share of the returns' variance that the critic foresaw, 1 − Var(returns − values) /
    /// Var(returns). 1 is all of it, 0 no more than a constant would, below 0 less. 0 where all returns are equal,
    /// and before [`ExperienceBuffer::compute_advantages`].
    pub fn explained_variance(&self) -> f64 {
        let flat = |rows: &[Vec<f32>]| rows.iter().flatten().copied().map(f64::from).collect::<Vec<_>>();
        let returns = flat(&self.returns);
        let errors: Vec<f64> =
            returns.iter().zip(flat(&self.values)).map(|(returned, value)| returned - value).collect();
        let deviation = moments(&returns).1;
        if deviation == 0.0 { 0.0 } else { 1.0 - (moments(&errors).1 / deviation).powi(2) }
    }

    /// The memory of some completions, in that order.
    pub(crate) fn of(&self, numbers: &[usize]) -> candle_core::Result<Remembered> {
        let flat = |rows: &[Vec<f32>]| -> candle_core::Result<Tensor> {
            let values: Vec<f32> = numbers.iter().flat_map(|&number| rows[number].iter().copied()).collect();
            Tensor::new(values, &Device::Cpu)
        };
        Ok(Remembered {
            old_log_probs: flat(&self.old_log_probs)?,
            advantages: flat(&self.advantages)?,
            values: flat(&self.values)?,
            returns: flat(&self.returns)?,
        })
    }

    /// Where each token is among all places.
    fn token_places(&self) -> candle_core::Result<Tensor> {
        let mut start = 0u32;
        let mut places = Vec::with_capacity(self.lengths.iter().sum());
        for (&length, &own) in self.lengths.iter().zip(&self.places) {
            places.extend((start..).take(length));
            start += own as u32;
        }
        Tensor::new(places, &Device::Cpu)
    }
}

/// What is held of some completions, flat: `old_log_probs` and `advantages` one per token, `values` and `returns` one per
/// place.
pub(crate) struct Remembered {
    pub(crate) old_log_probs: Tensor,
    pub(crate) advantages: Tensor,
    pub(crate) values: Tensor,
    pub(crate) returns: Tensor,
}

impl Remembered {
    pub(crate) fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        Ok(Self {
            old_log_probs: self.old_log_probs.to_device(device)?,
            advantages: self.advantages.to_device(device)?,
            values: self.values.to_device(device)?,
            returns: self.returns.to_device(device)?,
        })
    }
}

fn sequences(lengths: &[usize]) -> Result<Sequences> {
    let ids = lengths.iter().zip(0u32..).flat_map(|(&length, id)| std::iter::repeat_n(id, length));
    Ok(Sequences::packed(&ids.collect::<Vec<_>>(), lengths.len(), &Device::Cpu)?)
}

fn rows(flat: &Tensor, lengths: &[usize]) -> Result<Vec<Vec<f32>>> {
    let mut values = flat.to_vec1::<f32>()?.into_iter();
    Ok(lengths.iter().map(|&length| values.by_ref().take(length).collect()).collect())
}
