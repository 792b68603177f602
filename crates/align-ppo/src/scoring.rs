//! Scores of completions, from reward models, rules and mixtures of them.
//!
//! A reward model that shares the policy's tokenizer is given the policy's own tokens, and its score is read off the
//! completion's last one: an answer that was cut off is scored as cut off. A reward of texts is given prompt and
//! completion as the record of the data has them, and tokenizes them as it likes.

use align_data::{Candidates, Message, Text, TokenizedTask};
use align_losses::weighted_rewards;
use align_models::RewardModel;
use align_reward::{Reward, RewardNormalization, Task};
use align_train::{Error, Metrics, Ranks, Result};
use candle_core::DType;

use crate::Rollouts;
use crate::shares::{by_first, dealt};

/// A source of scores: a reward model or a reward of texts.
pub enum ScoreSource {
    /// A reward model, on the policy's tokens.
    Model {
        /// The model.
        model: Box<RewardModel>,
        /// The normalization that makes scores comparable with other models'; without it they are the head's own.
        normalization: Option<RewardNormalization>,
    },
    /// A reward of texts. Of several ranks the first asks it for all: it has the questions that it would have of one, and what
    /// it remembers of them.
    Texts(Box<dyn Reward>),
    /// A model that reads texts. Each rank asks its own about its part of them.
    TextModel(Box<dyn Reward>),
}

/// The scorer: sources of scores, and what is done to their sum.
pub struct Scorer {
    sources: Vec<(f64, ScoreSource)>,
    missing_eos_penalty: f64,
}

/// Scores of the completions of a phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The score of each completion, penalties included; NaN where no source applies to it.
    pub scores: Vec<f64>,
    /// Name of each source with its own scores.
    pub by_source: Vec<(String, Vec<f64>)>,
}

impl Scorer {
    /// The sum of the sources' scores, each times its weight, less a penalty for completions that did not end by
    /// themselves.
    ///
    /// # Errors
    /// If there is no source, a weight is no number, or the penalty is none.
    pub fn new(sources: Vec<(f64, ScoreSource)>, missing_eos_penalty: f64) -> Result<Self> {
        if sources.is_empty() {
            return Err(Error::stage(
                "nothing gives scores: name a reward model or at least one reward function",
            ));
        }
        if let Some((weight, source)) = sources.iter().find(|(weight, _)| !weight.is_finite()) {
            let problem = format!("{}: expected a finite weight, found {weight}", source.name());
            return Err(Error::stage(problem));
        }
        if !(missing_eos_penalty.is_finite() && missing_eos_penalty >= 0.0) {
            let value = missing_eos_penalty.to_string();
            let problem = "must be a number, 0 or more".to_owned();
            return Err(Error::Option { option: "missing_eos_penalty", value, problem });
        }
        Ok(Self { sources, missing_eos_penalty })
    }

    /// Scores completions; `tasks` are the run's prompts, by the rows that the rollouts name. All ranks ask together, and have
    /// the same scores.
    ///
    /// # Errors
    /// If a source cannot score them.
    pub fn score(&self, rollouts: &Rollouts, tasks: &[TokenizedTask], ranks: &Ranks) -> Result<Scores> {
        let mut by_source = Vec::with_capacity(self.sources.len());
        for (_, source) in &self.sources {
            by_source.push((source.name().to_owned(), source.scores(rollouts, tasks, ranks)?));
        }
        let scores: Vec<Vec<f64>> = by_source.iter().map(|(_, scores)| scores.clone()).collect();
        let weights: Vec<f64> = self.sources.iter().map(|(weight, _)| *weight).collect();
        let mut scores = weighted_rewards(&scores, &weights)?;
        for (score, completion) in scores.iter_mut().zip(&rollouts.completions) {
            if !completion.finished {
                *score -= self.missing_eos_penalty;
            }
        }
        Ok(Scores { scores, by_source })
    }
}

impl Scores {
    /// Puts the scores of a group of `other`, number `new` there, in the place of number `old` here.
    pub(crate) fn replace_group(&mut self, old: usize, other: &Self, new: usize, num_generations: usize) {
        let count = num_generations;
        let replace = |own: &mut [f64], others: &[f64]| {
            own[old * count..][..count].copy_from_slice(&others[new * count..][..count]);
        };
        replace(&mut self.scores, &other.scores);
        for ((_, own), (_, others)) in self.by_source.iter_mut().zip(&other.by_source) {
            replace(own, others);
        }
    }

    /// `objective/scores`, and TRL's `rewards/<source>/mean` and `/std`. What was not scored does not count.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        let (mean, _, count) = moments(&self.scores);
        metrics.mean("objective/scores", mean * count, count);
        for (name, scores) in &self.by_source {
            let (mean, std, count) = moments(scores);
            metrics.mean(&format!("rewards/{name}/mean"), mean * count, count);
            metrics.mean(&format!("rewards/{name}/std"), std * count, count);
        }
        metrics
    }
}

/// Mean, unbiased deviation and number of what is a number.
pub(crate) fn moments(values: &[f64]) -> (f64, f64, f64) {
    let values: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let count = values.len() as f64;
    if values.is_empty() {
        return (0.0, 0.0, 0.0);
    }
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt(), count)
}

impl ScoreSource {
    fn name(&self) -> &str {
        match self {
            Self::Model { .. } => "model",
            Self::Texts(reward) | Self::TextModel(reward) => reward.name(),
        }
    }

    /// The score of each completion, the same on all ranks.
    pub(crate) fn scores(
        &self,
        rollouts: &Rollouts,
        tasks: &[TokenizedTask],
        ranks: &Ranks,
    ) -> Result<Vec<f64>> {
        match self {
            Self::Texts(_) => by_first(ranks, || self.own_scores(rollouts, tasks)),
            Self::Model { .. } | Self::TextModel(_) => {
                dealt(ranks, rollouts, |own, _| self.own_scores(own, tasks))
            }
        }
    }

    fn own_scores(&self, rollouts: &Rollouts, tasks: &[TokenizedTask]) -> Result<Vec<f64>> {
        match self {
            Self::Texts(reward) | Self::TextModel(reward) => {
                let asked: Vec<Task> = rollouts
                    .groups()
                    .map(|(prompt, completions)| {
                        let texts = completions.iter().map(|completion| completion.text.as_str());
                        answered(&tasks[prompt.row], texts)
                    })
                    .collect();
                Ok(reward.rewards(&asked).map_err(Error::stage)?.into_iter().flatten().collect())
            }
            Self::Model { model, normalization } => {
                let mut scores = Vec::with_capacity(rollouts.completions.len());
                for pass in rollouts.passes() {
                    let rewards = model.rewards(&pass)?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                    scores.extend(rewards.into_iter().map(|reward| {
                        let reward = f64::from(reward);
                        normalization.as_ref().map_or(reward, |normalization| normalization.apply(reward))
                    }));
                }
                // Taken for "no reward applies", a NaN would teach nothing and say nothing.
                match scores.iter().position(|score| !score.is_finite()) {
                    None => Ok(scores),
                    Some(place) => {
                        let origin = &tasks[rollouts.prompt_of(place).row].task.prompt.origin;
                        let (score, text) = (scores[place], &rollouts.completions[place].text);
                        Err(Error::stage(format!(
                            "{origin}: the reward model gives {score} to the completion {text:?}; scores must be finite: \
                             its weights are damaged"
                        )))
                    }
                }
            }
        }
    }
}

/// A task with answers, in the form that its prompt has: messages are answered by a message.
fn answered<'a>(row: &TokenizedTask, texts: impl Iterator<Item = &'a str>) -> Task {
    let prompt = &row.task.prompt;
    let is_chat = matches!(prompt.prompt, Text::Messages(_));
    let answer = |text: &str| match is_chat {
        true => Text::Messages(vec![Message::new("assistant", text)]),
        false => Text::Plain(text.to_owned()),
    };
    let candidates = Candidates {
        prompt: prompt.prompt.clone(),
        completions: texts.map(answer).collect(),
        template: prompt.template.clone(),
        origin: prompt.origin.clone(),
    };
    Task { candidates, reference: row.task.reference.clone() }
}
