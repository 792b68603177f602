//! Checks of preference pairs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DatasetChecks, Look, Seen, check, is_blank, known};
use crate::record::{PreferencePair, Ranking, Text};

/// Checks of preference pairs; lengths are in characters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// Checks preference pairs.
pub fn check_pairs(training: &[PreferencePair], evaluation: Option<&[PreferencePair]>) -> DatasetChecks {
    check(Seen::of_pairs(), training, evaluation, look_at_pair)
}

pub(crate) fn look_at_pair(pair: &PreferencePair) -> Look {
    let PreferencePair { prompt, chosen, rejected, reference, .. } = pair;
    look(prompt, chosen, rejected, reference.as_ref())
}

/// Of a ranking its best and its worst answer.
pub(crate) fn look_at_ranking(ranking: &Ranking) -> Look {
    let answers = &ranking.answers.completions;
    look(&ranking.answers.prompt, &answers[0], &answers[answers.len() - 1], None)
}

fn look(prompt: &Text, chosen: &Text, rejected: &Text, reference: Option<&Text>) -> Look {
    let answers: Vec<&Text> = [chosen, rejected].into_iter().chain(reference).collect();
    Look {
        is_blank: answers.iter().any(|answer| is_blank(answer)),
        answers: vec![(known::key(chosen), true), (known::key(rejected), false)],
        lengths: Some((chosen.chars(), rejected.chars(), chosen == rejected)),
        ..Look::new(Some(prompt), &answers)
    }
}

impl fmt::Display for PairChecks {
    /// Indented lines, each after a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.identical_answers > 0 {
            write!(f, "\n  {} pairs prefer an answer to itself", self.identical_answers)?;
        }
        write!(
            f,
            "\n  chosen is longer in {:.1} % of pairs; {:.0} characters on average, rejected {:.0}",
            100.0 * self.chosen_longer,
            self.mean_chosen_length,
            self.mean_rejected_length
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{EvaluationChecks, KnownAnswers};

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
        // `no` is rejected again; `yes` is either.
        let known = KnownAnswers { rows: 3, known: 2, lookup_accuracy: (1.0 + 0.5 + 0.5) / 3.0 };
        let expected = EvaluationChecks {
            rows: 3,
            prompts_in_training: 2,
            rows_in_training: 1,
            known_answers: Some(known),
        };
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
          2 (66.7 %) have an answer that training has with the same label; looking answers up is right in 66.7 %
        ");
    }

    #[test]
    fn pairs_with_other_gold_answers_are_other_rows() {
        let mut training = pairs(&[("p", "a", "b"), ("p", "a", "b")]);
        assert_eq!(check_pairs(&training, None).duplicate_rows, 1);
        training[0].reference = Some("gold".into());
        training[1].reference = Some(" ".into());
        let checks = check_pairs(&training, None);
        assert_eq!((checks.duplicate_rows, checks.blank_answers), (0, 1));
    }
}
