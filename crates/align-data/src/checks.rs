//! What is odd about a data set before any tokenizer sees it: duplicates, pairs without a preference, answers
//! labelled both ways, evaluation rows that are also trained on, answers that differ mainly in length.
//!
//! Nothing is removed: a count at the start of a run lets its user decide, while silent cleaning would change
//! what the run is compared with.

mod known;
mod pairs;
mod seen;
mod unpaired;

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use known::KnownAnswers;
pub use pairs::{PairChecks, check_pairs};
pub(crate) use pairs::{look_at_pair, look_at_ranking};
pub(crate) use seen::{Look, Seen};
pub(crate) use unpaired::look_at_answer;
pub use unpaired::{UnpairedChecks, check_unpaired};

use crate::record::{Demonstration, DemonstrationBody, PromptTask, Text};

/// Counts over a data set and, if there is one, its evaluation split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    check(Seen::default(), training, evaluation, look_at_task)
}

/// Checks demonstrations.
pub fn check_demonstrations(
    training: &[Demonstration],
    evaluation: Option<&[Demonstration]>,
) -> DatasetChecks {
    check(Seen::default(), training, evaluation, look_at_demonstration)
}

/// Checks records that are there at once.
fn check<R>(
    mut seen: Seen,
    training: &[R],
    evaluation: Option<&[R]>,
    look: impl Fn(&R) -> Look,
) -> DatasetChecks {
    training.iter().for_each(|record| seen.add(look(record)));
    seen.compared(evaluation.map(|rows| rows.iter().map(look).collect::<Vec<_>>()).as_deref())
}

pub(crate) fn look_at_task(row: &PromptTask) -> Look {
    Look::new(None, &[&row.prompt.prompt])
}

pub(crate) fn look_at_demonstration(row: &Demonstration) -> Look {
    match &row.body {
        DemonstrationBody::PromptCompletion { prompt, completion } => {
            Look { is_blank: is_blank(completion), ..Look::new(Some(prompt), &[completion]) }
        }
        DemonstrationBody::Text { text } => {
            let is_blank = text.trim().is_empty();
            Look { is_blank, ..Look::new(None, &[&Text::Plain(text.clone())]) }
        }
        DemonstrationBody::Messages { messages } => Look::new(None, &[&Text::Messages(messages.clone())]),
    }
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

/// What makes two texts the same: a hash, so that a large data set is not held. 128 bits: among 2³² rows two of different
/// texts are alike by chance once in 10¹⁹ data sets.
type Hash = u128;

/// JSON keeps strings and lists of messages apart, and the parts of a row from running together.
fn hash(value: &(impl Serialize + ?Sized)) -> Hash {
    let digest = Sha256::digest(serde_json::to_vec(value).expect("records are plain JSON"));
    Hash::from_le_bytes(digest[..16].try_into().expect("16 of 32 bytes"))
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
        let text = |text: Text| Look::new(Some(&text), &[]).row;
        assert_ne!(text("a".into()), text(vec![crate::Message::new("user", "a")].into()));
    }
}
