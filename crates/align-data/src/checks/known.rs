//! Held-out answers that training has word for word: who knows them by heart needs no prompt.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Hash, Look, Seen, check, hash, look_at_pair, look_at_ranking};
use crate::record::{PreferencePair, Ranking, Text};

/// The share of held-out rows with a known answer from which on figures of them say little about new answers.
const NOTABLE: f64 = 0.1;

/// Held-out rows with an answer that training has with the same label.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownAnswers {
    /// Held-out pairs, or held-out labels.
    pub rows: usize,
    /// Rows of which an answer, but for white space around it, stands in training as chosen and is chosen here, or
    /// as rejected and is rejected here.
    pub known: usize,
    /// Share that looking answers up gets right: an answer is good if training has it more often as chosen than as rejected.
    /// What training does not know, and what it knows as much of on both sides, counts half.
    pub lookup_accuracy: f64,
}

impl KnownAnswers {
    /// The known answers of pairs.
    pub fn of_pairs(training: &[PreferencePair], held_out: &[PreferencePair]) -> Self {
        Self::checked(training, held_out, look_at_pair)
    }

    /// The known answers of rankings, by their best and their worst answers.
    pub fn of_rankings(training: &[Ranking], held_out: &[Ranking]) -> Self {
        Self::checked(training, held_out, look_at_ranking)
    }

    fn checked<R>(training: &[R], held_out: &[R], look: impl Fn(&R) -> Look) -> Self {
        let checks = check(Seen::of_pairs(), training, Some(held_out), look);
        checks.evaluation.and_then(|found| found.known_answers).expect("pairs have answers, and are compared")
    }

    /// Of held-out rows by their answers: what looking up says is the sum of what it says of each.
    pub(super) fn of(training: &Seen, held_out: &[Look]) -> Self {
        Self::counted(held_out.iter().map(|row| {
            let (mut is_known, mut verdict) = (false, 0);
            for &(answer, is_good) in &row.answers {
                let [good, bad] = training.sides(answer);
                is_known |= if is_good { good > 0 } else { bad > 0 };
                // 1 for an answer that is good more often than not, −1 for one that is bad, else 0.
                let says = i32::from(good > bad) - i32::from(bad > good);
                verdict += if is_good { says } else { -says };
            }
            (is_known, verdict)
        }))
    }

    /// Of rows that are known or not, with what looking up says: above 0 if it is right, below if it is wrong.
    fn counted(rows: impl Iterator<Item = (bool, i32)>) -> Self {
        let mut found = Self { rows: 0, known: 0, lookup_accuracy: 0.0 };
        let mut hits = 0.0;
        for (is_known, verdict) in rows {
            found.rows += 1;
            found.known += usize::from(is_known);
            hits += (f64::from(verdict.signum()) + 1.0) / 2.0;
        }
        found.lookup_accuracy = if found.rows == 0 { 0.5 } else { hits / found.rows as f64 };
        found
    }

    /// The share of rows that are known.
    pub fn share(&self) -> f64 {
        self.known as f64 / self.rows.max(1) as f64
    }

    /// A notice for the user, if there is much of it.
    pub fn notice(&self) -> Option<String> {
        (self.share() > NOTABLE).then(|| {
            format!(
                "{:.1} % of the held-out rows have an answer that stands in the training data with the same label: held-out \
                 figures say less about new answers; looking answers up alone is right in {:.1} %",
                100.0 * self.share(),
                100.0 * self.lookup_accuracy
            )
        })
    }
}

impl fmt::Display for KnownAnswers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({:.1} %) have an answer that training has with the same label; looking answers up is right in {:.1} %",
            self.known,
            100.0 * self.share(),
            100.0 * self.lookup_accuracy
        )
    }
}

/// What is looked up: the words of an answer, however it is laid out.
pub(super) fn key(answer: &Text) -> Hash {
    hash(answer.readable().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(rows: &[(&str, &str)]) -> Vec<PreferencePair> {
        let column = |of: fn(&(&str, &str)) -> String| rows.iter().map(of).collect::<Vec<_>>();
        let prompts = (0..rows.len()).map(|row| format!("p{row}")).collect();
        PreferencePair::from_lists(prompts, column(|row| row.0.to_owned()), column(|row| row.1.to_owned()))
            .unwrap()
    }

    #[test]
    fn answers_are_looked_up_whatever_the_prompt() {
        let training = pairs(&[("good", "bad"), ("good", "worse"), ("both", "x"), ("y", "both")]);
        let held_out = pairs(&[
            (" good\n", "new"), // known, right
            ("bad", "new"),     // known on the other side only: wrong, and not known
            ("both", "new"),    // known, and says nothing
            ("new", "newer"),
        ]);
        let found = KnownAnswers::of_pairs(&training, &held_out);
        assert_eq!(found, KnownAnswers { rows: 4, known: 2, lookup_accuracy: (1.0 + 0.0 + 0.5 + 0.5) / 4.0 });
        assert!(found.notice().unwrap().starts_with("50.0 % of the held-out rows"));
        assert_eq!(KnownAnswers::of_pairs(&training, &held_out[3..]).notice(), None);
    }

    #[test]
    fn a_message_and_a_string_of_the_same_words_are_the_same_answer() {
        let mut training = pairs(&[("good", "bad")]);
        training[0].chosen = vec![crate::Message::new("assistant", "good")].into();
        assert_eq!(KnownAnswers::of_pairs(&training, &pairs(&[("good", "new")])).known, 1);
    }
}
