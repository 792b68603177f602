//! Rewards that are rules on the text: no model, and nothing to overfit.

use align_data::Text;
use regex::Regex;

use super::number::{last_number, last_number_in_words, stated_answer};
use super::{Reward, RewardError, Task};

/// 1 for answers of so many characters, 0 for others.
#[derive(Clone, Debug)]
pub struct LengthRange {
    min: usize,
    max: usize,
}

impl LengthRange {
    /// Both ends count.
    ///
    /// # Errors
    /// If no length is in the range.
    pub fn new(min: usize, max: usize) -> Result<Self, RewardError> {
        if min > max {
            let problem =
                format!("length: expected a range from the shorter to the longer, found {min} to {max}");
            return Err(RewardError::Config(problem));
        }
        Ok(Self { min, max })
    }
}

impl Reward for LengthRange {
    fn name(&self) -> &str {
        "length"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        each(tasks, |_, answer| Ok(truth((self.min..=self.max).contains(&answer.chars().count()))))
    }
}

/// 1 for answers in which a regular expression is found, 0 for others. `^` and `$` tie it to the answer's ends.
#[derive(Clone, Debug)]
pub struct FormatMatch(Regex);

impl FormatMatch {
    /// The expression in the syntax of the `regex` crate.
    ///
    /// # Errors
    /// If it is none.
    pub fn new(pattern: &str) -> Result<Self, RewardError> {
        let wrong = |error: regex::Error| {
            // The last of its lines says what is wrong; those before it draw where.
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            RewardError::Config(format!("format: `{pattern}` is not a regular expression: {reason}"))
        };
        Regex::new(pattern).map(Self).map_err(wrong)
    }
}

impl Reward for FormatMatch {
    fn name(&self) -> &str {
        "format"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        each(tasks, |_, answer| Ok(truth(self.0.is_match(answer))))
    }
}

/// 1 for answers that are the reference but for white space around them, 0 for others.
#[derive(Clone, Copy, Debug)]
pub struct ExactMatch;

impl Reward for ExactMatch {
    fn name(&self) -> &str {
        "exact_match"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        each(tasks, |task, answer| Ok(truth(answer.trim() == reference(task, self.name())?.trim())))
    }
}

/// 1 for answers that state the reference's number, 0 for others, as GSM8K is marked: what follows the last `####`,
/// or the last number where there is no such mark. In a text without digits it is the last number in English words,
/// up to ninety-nine: `eleven` states 11.
#[derive(Clone, Copy, Debug)]
pub struct NumericAnswer;

impl Reward for NumericAnswer {
    fn name(&self) -> &str {
        "numeric_answer"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        each(tasks, |task, answer| {
            let reference = reference(task, self.name())?;
            let stated = |text: &str| {
                stated_answer(text).or_else(|| last_number(text)).or_else(|| last_number_in_words(text))
            };
            let expected = stated(reference).ok_or_else(|| {
                let origin = &task.candidates.origin;
                RewardError::Config(format!(
                    "{origin}: expected a number in the reference answer `{reference}`"
                ))
            })?;
            // Both are decimals read from text: 0.1 and 0.10 are the same f64.
            Ok(truth(stated(answer) == Some(expected)))
        })
    }
}

fn truth(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn reference<'a>(task: &'a Task, reward: &str) -> Result<&'a str, RewardError> {
    task.reference.as_deref().ok_or_else(|| RewardError::NoReference {
        origin: task.candidates.origin.to_string(),
        reward: reward.to_owned(),
    })
}

/// The rule on the text of every answer; of messages their contents, a line each.
fn each(
    tasks: &[Task],
    rule: impl Fn(&Task, &str) -> Result<f64, RewardError>,
) -> Result<Vec<Vec<f64>>, RewardError> {
    let text = |answer: &Text| match answer {
        Text::Plain(text) => text.clone(),
        Text::Messages(turns) => {
            turns.iter().filter_map(|turn| turn.content.as_deref()).collect::<Vec<_>>().join("\n")
        }
    };
    let of_task = |task: &Task| {
        task.candidates.completions.iter().map(|answer| rule(task, &text(answer))).collect::<Result<_, _>>()
    };
    tasks.iter().map(of_task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::task;

    fn given(reward: &dyn Reward, reference: Option<&str>, answers: &[&str]) -> Vec<f64> {
        reward.rewards(&[task(reference, answers)]).unwrap().remove(0)
    }

    #[test]
    fn lengths_and_formats_are_found_or_not() {
        assert_eq!(
            given(&LengthRange::new(2, 3).unwrap(), None, &["a", "äb", "abc", "abcd"]),
            [0.0, 1.0, 1.0, 0.0]
        );
        let format = FormatMatch::new(r"(?s)^<think>.*</think>").unwrap();
        assert_eq!(given(&format, None, &["<think>\n</think> 4", "4 <think></think>"]), [1.0, 0.0]);
        assert!(LengthRange::new(3, 2).unwrap_err().to_string().contains("found 3 to 2"));
        let wrong = FormatMatch::new("(").unwrap_err().to_string();
        assert!(wrong.ends_with("`(` is not a regular expression: unclosed group"), "{wrong}");
    }

    #[test]
    fn answers_are_compared_with_the_reference() {
        assert_eq!(given(&ExactMatch, Some("Paris"), &[" Paris\n", "paris"]), [1.0, 0.0]);
        let reference = Some("5 + 7 = <<5+7=12>>12\n#### 1,200");
        let answers =
            ["So it is 1200.", "#### $1,200.00 in 3 days", "It is 12.", "none", "first 1200, then 5"];
        assert_eq!(given(&NumericAnswer, reference, &answers), [1.0, 1.0, 0.0, 0.0, 0.0]);
        let in_words = ["Four plus seven is eleven.", "11", "Eleven minus seven is four.", "I cannot count."];
        assert_eq!(given(&NumericAnswer, Some("eleven"), &in_words), [1.0, 1.0, 0.0, 0.0]);
        let error = ExactMatch.rewards(&[task(None, &["a"])]).unwrap_err().to_string();
        assert_eq!(error, "row 1: exact_match compares with a reference answer, and the row has none");
        let error = NumericAnswer.rewards(&[task(Some("none"), &["a"])]).unwrap_err().to_string();
        assert!(error.contains("expected a number in the reference answer `none`"), "{error}");
    }
}
