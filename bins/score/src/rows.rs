//! From answers and their rewards to the rows that are written.
//!
//! Rows have the shape of data sets: what is written can be trained on as it is.

use align_data::{Candidates, PromptOnly, Text};
use serde::Serialize;

use crate::options::Write;

/// What is written, and what has been seen so far.
pub(crate) struct Rows {
    write: Write,
    written: usize,
    /// Prompts whose answers all have the same reward.
    equal: usize,
    first_preferred: usize,
}

/// A row with its prompt.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    prompt: PromptOnly,
    #[serde(flatten)]
    scored: Scored,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Scored {
    One { completion: Text, score: f64 },
    Many { completions: Vec<Text>, scores: Vec<f64> },
    Pair { completions: Vec<Text>, scores: Vec<f64>, probability: f64 },
    Best { completion: Text, score: f64, candidates: usize },
    Preference { chosen: Text, rejected: Text, score_chosen: f64, score_rejected: f64 },
}

impl Rows {
    pub(crate) fn new(write: Write) -> Self {
        Self { write, written: 0, equal: 0, first_preferred: 0 }
    }

    /// What is written of these answers with their rewards; none of answers that all have the same, where there is
    /// nothing to prefer.
    pub(crate) fn of(&mut self, candidates: &Candidates, rewards: &[f64]) -> Option<Row> {
        let Candidates { prompt, completions, template, origin } = candidates.clone();
        let (best, worst) = extremes(rewards);
        let answer = |place: usize| completions[place].clone();
        let scored = match self.write {
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
        self.written += 1;
        Some(Row { prompt: PromptOnly { prompt, template, origin }, scored })
    }

    /// Says what a user should know of the rows.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        let Self { write, written, equal, first_preferred } = *self;
        match write {
            Write::Preferences if written == 0 => {
                return Err(align_cli::input_error(anyhow::anyhow!(
                    "all rewards are equal: the answers to each of {equal} prompts have the same score, so that there \
                     is none to prefer"
                )));
            }
            Write::Preferences if equal > 0 => {
                tracing::warn!("left out {equal} prompts whose answers all have the same score");
            }
            Write::Compare => {
                let share = (first_preferred as f64 + 0.5 * equal as f64) / written as f64;
                tracing::info!("the first answer is preferred in {:.1} % of {written} rows", 100.0 * share);
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
