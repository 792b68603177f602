//! Checks of labelled answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DatasetChecks, Look, Seen, check, is_blank, known};
use crate::record::UnpairedPreference;

/// Checks of labelled answers.
///
/// Whether the two counts call for weights depends on the method's weights, so it is not judged here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpairedChecks {
    /// Rows whose answer is desirable.
    pub desirable: usize,
    /// Rows whose answer is not.
    pub undesirable: usize,
    /// Answers to a prompt that one row calls desirable and another one does not.
    pub labelled_both_ways: usize,
}

/// Checks labelled answers. Rows that differ in the label only are no duplicates of each other, but they count
/// as the same row between training and evaluation: the answer was seen.
pub fn check_unpaired(
    training: &[UnpairedPreference],
    evaluation: Option<&[UnpairedPreference]>,
) -> DatasetChecks {
    check(Seen::of_labelled(), training, evaluation, look_at_answer)
}

pub(crate) fn look_at_answer(row: &UnpairedPreference) -> Look {
    Look {
        is_blank: is_blank(&row.completion),
        answers: vec![(known::key(&row.completion), row.label)],
        ..Look::new(Some(&row.prompt), &[&row.completion])
    }
}

impl fmt::Display for UnpairedChecks {
    /// Indented lines, each after a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n  {} desirable answers, {} undesirable", self.desirable, self.undesirable)?;
        if self.labelled_both_ways > 0 {
            write!(f, "\n  {} answers are labelled both ways", self.labelled_both_ways)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{EvaluationChecks, KnownAnswers};
    use crate::record::{Origin, TemplateArguments};

    fn rows(rows: &[(&str, &str, bool)]) -> Vec<UnpairedPreference> {
        let record = |&(prompt, completion, label): &(&str, &str, bool)| UnpairedPreference {
            prompt: prompt.into(),
            completion: completion.into(),
            label,
            template: TemplateArguments::default(),
            origin: Origin::in_code(0),
        };
        rows.iter().map(record).collect()
    }

    #[test]
    fn oddities_of_labelled_answers_are_counted() {
        let training = rows(&[
            ("p", "a", true),
            ("p", "a", true),
            ("p", "a", false),
            ("p", "b", true),
            ("q", "a", false),
            ("q", " ", false),
        ]);
        let evaluation = rows(&[("p", "b", false), ("p", "new", true), ("new", "a", true)]);
        let checks = check_unpaired(&training, Some(&evaluation));
        assert_eq!((checks.duplicate_rows, checks.blank_answers), (1, 1));
        let expected = UnpairedChecks { desirable: 3, undesirable: 3, labelled_both_ways: 1 };
        assert_eq!(checks.unpaired, Some(expected));
        // `b` was liked and is disliked; `a` is as often liked as not, and is known.
        let known = KnownAnswers { rows: 3, known: 1, lookup_accuracy: (0.0 + 0.5 + 0.5) / 3.0 };
        let expected = EvaluationChecks {
            rows: 3,
            prompts_in_training: 2,
            rows_in_training: 1,
            known_answers: Some(known),
        };
        assert_eq!(checks.evaluation, Some(expected));
        insta::assert_snapshot!(checks, @r"
        6 rows
          1 rows (16.7 %) repeat an earlier one
          1 rows (16.7 %) have a blank answer
          3 desirable answers, 3 undesirable
          1 answers are labelled both ways
        3 evaluation rows
          2 (66.7 %) share their prompt with a training row
          1 (33.3 %) are training rows
          1 (33.3 %) have an answer that training has with the same label; looking answers up is right in 33.3 %
        ");
    }
}
