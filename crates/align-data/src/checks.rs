//! What is odd about a data set before any tokenizer sees it: duplicates, pairs without a preference, answers
//! labelled both ways, evaluation rows that are also trained on, answers that differ mainly in length.
//!
//! Nothing is removed: a count at the start of a run lets its user decide, while silent cleaning would change
//! what the run is compared with.

mod known;
mod pairs;
mod unpaired;

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub use known::KnownAnswers;
pub use pairs::{PairChecks, check_pairs};
pub use unpaired::{UnpairedChecks, check_unpaired};

use crate::record::{Demonstration, DemonstrationBody, PromptTask, Text};

/// Counts over a data set and, if there is one, its evaluation split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetChecks {
    /// Rows to train on.
    pub rows: usize,
    /// Rows that repeat an earlier one.
    pub duplicate_rows: usize,
    /// Rows whose answer (any of them, in a pair) is white space only.
    pub blank_answers: usize,
    /// Checks of pairs alone.
    pub pairs: Option<PairChecks>,
    /// Checks of labelled answers alone.
    pub unpaired: Option<UnpairedChecks>,
    /// Checks of the evaluation split, where there is one.
    pub evaluation: Option<EvaluationChecks>,
}

/// Overlap of an evaluation split with the training split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluationChecks {
    /// Rows to evaluate on.
    pub rows: usize,
    /// Rows whose prompt also occurs in training.
    pub prompts_in_training: usize,
    /// Rows that occur in training as they are, labelled answers with either label.
    pub rows_in_training: usize,
    /// Answers that training has, of data whose answers are better or worse.
    pub known_answers: Option<KnownAnswers>,
}

/// Checks prompts.
pub fn check_prompts(training: &[PromptTask], evaluation: Option<&[PromptTask]>) -> DatasetChecks {
    let keys = |rows: &[PromptTask]| {
        rows.iter().map(|row| Key::new(None, &[&row.prompt.prompt])).collect::<Vec<_>>()
    };
    checks(&keys(training), evaluation.map(keys).as_deref(), 0)
}

/// Checks demonstrations.
pub fn check_demonstrations(
    training: &[Demonstration],
    evaluation: Option<&[Demonstration]>,
) -> DatasetChecks {
    let keys = |rows: &[Demonstration]| -> Vec<Key> {
        rows.iter().map(|row| demonstration_key(&row.body)).collect()
    };
    let blank = training.iter().filter(|row| match &row.body {
        DemonstrationBody::PromptCompletion { completion, .. } => is_blank(completion),
        DemonstrationBody::Text { text } => text.trim().is_empty(),
        DemonstrationBody::Messages { .. } => false,
    });
    checks(&keys(training), evaluation.map(keys).as_deref(), blank.count())
}

impl fmt::Display for DatasetChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        write!(f, "{} rows", self.rows)?;
        for (count, what) in
            [(self.duplicate_rows, "repeat an earlier one"), (self.blank_answers, "have a blank answer")]
        {
            if count > 0 {
                write!(f, "\n  {count} rows ({:.1} %) {what}", percent(count, self.rows))?;
            }
        }
        if let Some(pairs) = &self.pairs {
            write!(f, "{pairs}")?;
        }
        if let Some(unpaired) = &self.unpaired {
            write!(f, "{unpaired}")?;
        }
        if let Some(evaluation) = &self.evaluation {
            write!(f, "\n{} evaluation rows", evaluation.rows)?;
            for (count, what) in [
                (evaluation.prompts_in_training, "share their prompt with a training row"),
                (evaluation.rows_in_training, "are training rows"),
            ] {
                if count > 0 {
                    write!(f, "\n  {count} ({:.1} %) {what}", percent(count, evaluation.rows))?;
                }
            }
            if let Some(known) = evaluation.known_answers.filter(|known| known.known > 0) {
                write!(f, "\n  {known}")?;
            }
        }
        Ok(())
    }
}

/// What makes two rows, or their prompts, the same: hashes, so that a large data set is not held twice.
struct Key {
    prompt: Option<[u8; 32]>,
    row: [u8; 32],
}

impl Key {
    fn new(prompt: Option<&Text>, answers: &[&Text]) -> Self {
        Self { prompt: prompt.map(hash), row: hash(&(prompt, answers)) }
    }
}

/// JSON keeps strings and lists of messages apart, and the parts of a row from running together.
fn hash(value: &(impl Serialize + ?Sized)) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(value).expect("records are plain JSON")).into()
}

fn demonstration_key(body: &DemonstrationBody) -> Key {
    match body {
        DemonstrationBody::PromptCompletion { prompt, completion } => Key::new(Some(prompt), &[completion]),
        DemonstrationBody::Text { text } => Key::new(None, &[&Text::Plain(text.clone())]),
        DemonstrationBody::Messages { messages } => Key::new(None, &[&Text::Messages(messages.clone())]),
    }
}

/// The checks every kind of data has.
fn checks(training: &[Key], evaluation: Option<&[Key]>, blank_answers: usize) -> DatasetChecks {
    let rows: HashSet<_> = training.iter().map(|key| key.row).collect();
    let prompts: HashSet<_> = training.iter().filter_map(|key| key.prompt).collect();
    let evaluation = evaluation.map(|keys| EvaluationChecks {
        rows: keys.len(),
        prompts_in_training: keys
            .iter()
            .filter(|key| key.prompt.is_some_and(|prompt| prompts.contains(&prompt)))
            .count(),
        rows_in_training: keys.iter().filter(|key| rows.contains(&key.row)).count(),
        known_answers: None,
    });
    DatasetChecks {
        rows: training.len(),
        duplicate_rows: training.len() - rows.len(),
        blank_answers,
        pairs: None,
        unpaired: None,
        evaluation,
    }
}

/// The same checks with what is known of held-out answers, where there are any.
fn with_known(checks: DatasetChecks, known: Option<KnownAnswers>) -> DatasetChecks {
    let evaluation = checks.evaluation.map(|own| EvaluationChecks { known_answers: known, ..own });
    DatasetChecks { evaluation, ..checks }
}

fn is_blank(text: &Text) -> bool {
    match text {
        Text::Plain(text) => text.trim().is_empty(),
        Text::Messages(messages) => messages
            .iter()
            .all(|m| m.content.as_deref().unwrap_or_default().trim().is_empty() && m.extra.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_and_a_message_of_the_same_text_are_different_rows() {
        let text = |text: Text| Key::new(Some(&text), &[]).row;
        assert_ne!(text("a".into()), text(vec![crate::Message::new("user", "a")].into()));
    }
}
