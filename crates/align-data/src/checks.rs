//! What is odd about a data set before any tokenizer sees it: duplicates, pairs without a preference,
//! evaluation rows that are also trained on, answers that differ mainly in length.
//!
//! Nothing is removed: a count at the start of a run lets its user decide, while silent cleaning would change
//! what the run is compared with.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::record::{Demonstration, DemonstrationBody, PreferencePair, Text};

/// Counts over a data set and, if there is one, its evaluation split.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetChecks {
    /// Rows to train on.
    pub rows: usize,
    /// Rows that repeat an earlier one.
    pub duplicate_rows: usize,
    /// Rows whose answer (either of them, in a pair) is white space only.
    pub blank_answers: usize,
    /// What only pairs have.
    pub pairs: Option<PairChecks>,
    /// What only data with an evaluation split has.
    pub evaluation: Option<EvaluationChecks>,
}

/// Checks of preference pairs; lengths are in characters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairChecks {
    /// Pairs whose two answers are the same.
    pub identical_answers: usize,
    /// Share of pairs whose chosen answer is longer than the rejected one, ties counting half.
    pub chosen_longer: f64,
    /// Mean characters of chosen answers.
    pub mean_chosen_length: f64,
    /// Mean characters of rejected answers.
    pub mean_rejected_length: f64,
}

/// Overlap of an evaluation split with the training split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvaluationChecks {
    /// Rows to evaluate on.
    pub rows: usize,
    /// Those whose prompt also occurs in training.
    pub prompts_in_training: usize,
    /// Those that occur in training as they are.
    pub rows_in_training: usize,
}

/// Checks preference pairs.
pub fn check_pairs(training: &[PreferencePair], evaluation: Option<&[PreferencePair]>) -> DatasetChecks {
    let keys = |pairs: &[PreferencePair]| -> Vec<Key> {
        pairs.iter().map(|p| Key::new(Some(&p.prompt), &[&p.chosen, &p.rejected])).collect()
    };
    let blank = training.iter().filter(|pair| is_blank(&pair.chosen) || is_blank(&pair.rejected)).count();
    let lengths: Vec<_> = training.iter().map(|pair| (pair.chosen.chars(), pair.rejected.chars())).collect();
    let longer: f64 = lengths.iter().map(|(c, r)| if c > r { 1.0 } else { f64::from(c == r) / 2.0 }).sum();
    let pairs = PairChecks {
        identical_answers: training.iter().filter(|pair| pair.chosen == pair.rejected).count(),
        chosen_longer: mean(longer, training.len()),
        mean_chosen_length: mean(lengths.iter().map(|&(chosen, _)| chosen as f64).sum(), training.len()),
        mean_rejected_length: mean(
            lengths.iter().map(|&(_, rejected)| rejected as f64).sum(),
            training.len(),
        ),
    };
    checks(&keys(training), evaluation.map(keys).as_deref(), blank, Some(pairs))
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
    checks(&keys(training), evaluation.map(keys).as_deref(), blank.count(), None)
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
            if pairs.identical_answers > 0 {
                write!(f, "\n  {} pairs prefer an answer to itself", pairs.identical_answers)?;
            }
            write!(
                f,
                "\n  chosen is longer in {:.1} % of pairs; {:.0} characters on average, rejected {:.0}",
                100.0 * pairs.chosen_longer,
                pairs.mean_chosen_length,
                pairs.mean_rejected_length
            )?;
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

fn checks(
    training: &[Key],
    evaluation: Option<&[Key]>,
    blank_answers: usize,
    pairs: Option<PairChecks>,
) -> DatasetChecks {
    let rows: HashSet<_> = training.iter().map(|key| key.row).collect();
    let prompts: HashSet<_> = training.iter().filter_map(|key| key.prompt).collect();
    let evaluation = evaluation.map(|keys| EvaluationChecks {
        rows: keys.len(),
        prompts_in_training: keys
            .iter()
            .filter(|key| key.prompt.is_some_and(|prompt| prompts.contains(&prompt)))
            .count(),
        rows_in_training: keys.iter().filter(|key| rows.contains(&key.row)).count(),
    });
    DatasetChecks {
        rows: training.len(),
        duplicate_rows: training.len() - rows.len(),
        blank_answers,
        pairs,
        evaluation,
    }
}

fn is_blank(text: &Text) -> bool {
    match text {
        Text::Plain(text) => text.trim().is_empty(),
        Text::Messages(messages) => messages
            .iter()
            .all(|m| m.content.as_deref().unwrap_or_default().trim().is_empty() && m.extra.is_empty()),
    }
}

fn mean(sum: f64, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(rows: &[(&str, &str, &str)]) -> Vec<PreferencePair> {
        let column = |of: fn(&(&str, &str, &str)) -> String| rows.iter().map(of).collect::<Vec<_>>();
        PreferencePair::from_lists(
            column(|row| row.0.to_owned()),
            column(|row| row.1.to_owned()),
            column(|row| row.2.to_owned()),
        )
        .unwrap()
    }

    #[test]
    fn oddities_of_pairs_are_counted() {
        let training = pairs(&[
            ("p", "long", "no"),
            ("p", "long", "no"),
            ("q", "yes", "yes"),
            ("r", " ", "a longer one"),
        ]);
        let evaluation = pairs(&[("p", "other", "no"), ("q", "yes", "yes"), ("new", "a", "b")]);
        let checks = check_pairs(&training, Some(&evaluation));
        assert_eq!((checks.duplicate_rows, checks.blank_answers), (1, 1));
        let pairs = checks.pairs.as_ref().unwrap();
        assert_eq!((pairs.identical_answers, pairs.chosen_longer), (1, 2.5 / 4.0));
        assert_eq!((pairs.mean_chosen_length, pairs.mean_rejected_length), (3.0, 4.75));
        let expected = EvaluationChecks { rows: 3, prompts_in_training: 2, rows_in_training: 1 };
        assert_eq!(checks.evaluation, Some(expected));
        insta::assert_snapshot!(checks, @r"
        4 rows
          1 rows (25.0 %) repeat an earlier one
          1 rows (25.0 %) have a blank answer
          1 pairs prefer an answer to itself
          chosen is longer in 62.5 % of pairs; 3 characters on average, rejected 5
        3 evaluation rows
          2 (66.7 %) share their prompt with a training row
          1 (33.3 %) are training rows
        ");
    }

    #[test]
    fn a_string_and_a_message_of_the_same_text_are_different_rows() {
        let text = |text: Text| Key::new(Some(&text), &[]).row;
        assert_ne!(text("a".into()), text(vec![crate::Message::new("user", "a")].into()));
    }
}
