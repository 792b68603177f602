//! From answers and their rewards to the rows that are written.
//!
//! Rows have the shape of data sets: what is written can be trained on as it is.

use align_data::{Candidates, PromptOnly, Text};
use align_stage::{Error, Result};
use serde::Serialize;

use super::{Report, Write};

/// A prompt with what is said of its answers.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The prompt.
    #[serde(flatten)]
    pub prompt: PromptOnly,
    /// The answers that are kept, with their scores.
    #[serde(flatten)]
    pub scored: Scored,
}

/// Answers with their scores, by what was asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "fields are what they are called in the rows")]
pub enum Scored {
    /// [`Write::Scores`] of the only answer.
    One { completion: Text, score: f64 },
    /// [`Write::Scores`] of several.
    Many { completions: Vec<Text>, scores: Vec<f64> },
    /// [`Write::Compare`]: the probability that the first is better.
    Pair { completions: Vec<Text>, scores: Vec<f64>, probability: f64 },
    /// [`Write::Best`] of so many candidates.
    Best { completion: Text, score: f64, candidates: usize },
    /// [`Write::Preferences`].
    Preference { chosen: Text, rejected: Text, score_chosen: f64, score_rejected: f64 },
}

impl Report {
    /// Counts these answers with their rewards, and says what is written of them; none of answers that all have the same, where there is
    /// nothing to prefer.
    pub(super) fn row(&mut self, write: Write, candidates: &Candidates, rewards: &[f64]) -> Option<Row> {
        self.answers += rewards.len();
        let Candidates { prompt, completions, template, origin } = candidates.clone();
        let (best, worst) = extremes(rewards);
        let answer = |place: usize| completions[place].clone();
        let scored = match write {
            Write::Scores if rewards.len() == 1 => Scored::One { completion: answer(0), score: rewards[0] },
            Write::Scores => Scored::Many { scores: rewards.to_vec(), completions },
            Write::Compare => {
                let probability = 1.0 / (1.0 + (rewards[1] - rewards[0]).exp());
                let is_equal = same(rewards[0], rewards[1]);
                self.first_preferred += usize::from(!is_equal && rewards[0] > rewards[1]);
                self.equal += usize::from(is_equal);
                Scored::Pair { scores: rewards.to_vec(), completions, probability }
            }
            Write::Best => {
                Scored::Best { completion: answer(best), score: rewards[best], candidates: rewards.len() }
            }
            Write::Preferences if same(rewards[best], rewards[worst]) => {
                self.equal += 1;
                return None;
            }
            Write::Preferences => Scored::Preference {
                chosen: answer(best),
                rejected: answer(worst),
                score_chosen: rewards[best],
                score_rejected: rewards[worst],
            },
        };
        self.rows += 1;
        Some(Row { prompt: PromptOnly { prompt, template, origin }, scored })
    }

    /// Says what a user should know of the rows.
    ///
    /// # Errors
    /// If there was nothing to prefer.
    pub(super) fn finish(&self, write: Write) -> Result<()> {
        let Self { rows, equal, first_preferred, .. } = *self;
        match write {
            Write::Preferences if rows == 0 => {
                return Err(Error::late_input(Error::Inputs(format!(
                    "all rewards are equal: the answers to each of {equal} prompts have the same score, so that there \
                     is none to prefer"
                ))));
            }
            Write::Preferences if equal > 0 => {
                tracing::warn!("left out {equal} prompts whose answers all have the same score");
            }
            Write::Compare => {
                let share = (first_preferred as f64 + 0.5 * equal as f64) / rows as f64;
                tracing::info!("the first answer is preferred in {:.1} % of {rows} rows", 100.0 * share);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether two rewards are the same but for rounding: the same answer twice in a pass is summed in two orders.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * a.abs().max(1.0)
}

/// Places of the largest and of the smallest reward; of equal ones the first.
fn extremes(rewards: &[f64]) -> (usize, usize) {
    let (mut best, mut worst) = (0, 0);
    for (place, reward) in rewards.iter().enumerate() {
        if *reward > rewards[best] {
            best = place;
        }
        if *reward < rewards[worst] {
            worst = place;
        }
    }
    (best, worst)
}
