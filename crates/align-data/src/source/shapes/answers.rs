//! A row to answers of one prompt, the best first: a pair, a ranking, or candidates in no order.

use super::{Shape, graded, read, trees, voted};
use crate::error::{DataError, Result};
use crate::record::{Candidates, Origin, PreferencePair, Ranking, Text};
use crate::source::reply::{self, Layout, Replies};
use crate::source::rows::Row;

/// Shapes in which answers are compared, the best first in what is read.
const COMPARED: [Shape<Replies>; 11] = [
    Shape { name: "preference pairs", columns: &["chosen", "rejected"], read: chosen },
    Shape {
        name: "pairs of conversations",
        columns: &["chosen_messages", "rejected_messages"],
        read: |row| two(row, ["chosen_messages", "rejected_messages"]),
    },
    Shape {
        name: "pairs of answers",
        columns: &["chosen_response", "rejected_response"],
        read: |row| two(row, ["chosen_response", "rejected_response"]),
    },
    Shape {
        name: "pairs of answers",
        columns: &["response_j", "response_k"],
        read: |row| two(row, ["response_j", "response_k"]),
    },
    Shape {
        name: "HelpSteer 3's pairs",
        columns: &["response1", "response2", "overall_preference"],
        read: voted::by_overall_preference,
    },
    Shape {
        name: "two conversations and a vote",
        columns: &["conversation_a", "conversation_b", "winner"],
        read: voted::conversations,
    },
    Shape { name: "graded completions", columns: &["completions[].response"], read: graded::completions },
    Shape { name: "rated generations", columns: &["generations", "ratings"], read: graded::generations },
    Shape { name: "ranked answers", columns: &["answers[].rank"], read: graded::ranks },
    Shape { name: "graded responses to equal prompts", columns: &[graded::GROUP], read: graded::group },
    Shape { name: "conversation trees", columns: &["message_tree_id", "prompt"], read: trees::replies },
];

/// Whether a row compares answers.
pub(super) fn is_compared(row: &Row) -> bool {
    super::is_any(row, &COMPARED) || voted::is_voted(row)
}

/// The prompt of a row that compares answers; none of another row.
pub(super) fn prompt(row: &mut Row) -> Option<Result<Text>> {
    is_compared(row).then(|| compared(row).map(|replies| replies.prompt))
}

fn compared(row: &mut Row) -> Result<Replies> {
    match read(row, &COMPARED) {
        Some(replies) => replies,
        None if voted::is_voted(row) => voted::answers(row),
        None => chosen(row),
    }
}

fn chosen(row: &mut Row) -> Result<Replies> {
    let answers = ["chosen", "rejected"].map(|field| Ok((field.to_owned(), row.non_empty_text(field)?)));
    let answers = answers.into_iter().collect::<Result<_>>()?;
    reply::replies(row, answers)
}

fn two(row: &mut Row, columns: [&str; 2]) -> Result<Replies> {
    let answers = columns.map(|field| Ok((field.to_owned(), row.non_empty_text(field)?)));
    let answers = answers.into_iter().collect::<Result<_>>()?;
    reply::turns(row, answers)
}

/// The pair in a row, its prompt given or split off; of more answers the best and the worst.
pub(in super::super) fn pair(row: &mut Row) -> Result<PreferencePair> {
    Ok(pair_in_layout(row)?.0)
}

fn pair_in_layout(row: &mut Row) -> Result<(PreferencePair, Layout)> {
    let Replies { prompt, mut answers, layout } = compared(row)?;
    let template = row.template_arguments(&prompt)?;
    let (Some(rejected), Some(chosen)) = (answers.pop(), answers.into_iter().next()) else {
        return Err(row.wrong("rejected", "an answer", "nothing"));
    };
    let origin = row.origin.clone();
    Ok((PreferencePair { prompt, chosen, rejected, reference: None, template, origin }, layout))
}

/// The pair in a row with its gold answer, the column `reference`, which is laid out as `chosen` is.
pub(in super::super) fn pair_with_reference(row: &mut Row) -> Result<PreferencePair> {
    let is_string = row.columns.get("chosen").is_some_and(serde_json::Value::is_string);
    let (pair, layout) = pair_in_layout(row)?;
    let reference = match (row.non_empty_text("reference")?, &pair.prompt) {
        (Text::Plain(transcript), Text::Plain(prompt)) if layout == Layout::Transcripts => {
            transcript.strip_prefix(prompt.as_str()).filter(|answer| !answer.is_empty()).map(Text::from)
        }
        (Text::Messages(turns), Text::Messages(prompt)) if layout == Layout::Transcripts => turns
            .strip_prefix(prompt.as_slice())
            .filter(|answer| !answer.is_empty())
            .map(|answer| Text::Messages(answer.to_vec())),
        (answer, Text::Plain(_)) if matches!(answer, Text::Plain(_)) => Some(answer),
        (answer, Text::Messages(_)) if matches!(answer, Text::Plain(_)) == is_string => {
            Some(reply::into_reply(answer))
        }
        (answer, prompt) => {
            let like = if is_string { Text::Plain(String::new()) } else { prompt.clone() };
            let expected = format!("{}, as in `chosen`", reply::kind(&like));
            return Err(row.wrong("reference", expected, reply::kind(&answer)));
        }
    };
    let Some(reference) = reference else {
        let expected = "a transcript that begins as `chosen` and `rejected` do and goes on with an answer";
        return Err(row.wrong("reference", expected, "another one"));
    };
    row.check_reply("reference", &reference)?;
    Ok(PreferencePair { reference: Some(reference), ..pair })
}

/// The answers in a row: `completion`, `completions`, or answers that are compared.
pub(in super::super) fn candidates(row: &mut Row) -> Result<Candidates> {
    // Which of them is better is not asked.
    row.takes_ties = true;
    if is_listed(row) {
        return listed(row);
    }
    if is_compared(row) || row.has("chosen") || row.has("rejected") {
        let Replies { prompt, answers, .. } = compared(row)?;
        return of(row, prompt, answers);
    }
    if !row.has("completion") {
        let expected = "`completion`, or `completions`, or `chosen` and `rejected`";
        return Err(row.missing("completion", expected));
    }
    row.shape = "prompts with completions";
    let answer = vec![("completion".to_owned(), row.non_empty_text("completion")?)];
    let Replies { prompt, answers, .. } = reply::replies(row, answer)?;
    of(row, prompt, answers)
}

fn of(row: &mut Row, prompt: Text, completions: Vec<Text>) -> Result<Candidates> {
    let template = row.template_arguments(&prompt)?;
    Ok(Candidates { prompt, completions, template, origin: row.origin.clone() })
}

fn is_listed(row: &Row) -> bool {
    row.has("completions") && !super::has(row, "completions[].response")
}

/// A prompt with its `completions`.
fn listed(row: &mut Row) -> Result<Candidates> {
    row.shape = "lists of completions";
    let answers = row.texts("completions")?;
    let Replies { prompt, answers, .. } = reply::replies(row, answers)?;
    of(row, prompt, answers)
}

/// Rankings of one data set: either all have a margin, or none has.
#[derive(Default)]
pub(in super::super) struct Rankings {
    /// Whether the first row has a margin, and where it stands.
    first: Option<(bool, Origin)>,
}

impl Rankings {
    /// The ranking in a row: a pair, or `completions` with the best first. `source_column` names its source.
    pub(in super::super) fn ranking(&mut self, row: &mut Row, source_column: &str) -> Result<Ranking> {
        let margin = margin(row)?;
        let source = row.label(source_column);
        if let Some(margin) = margin.filter(|margin| margin.abs() > f64::from(f32::MAX)) {
            return Err(row.wrong("margin", "a number of at most 3.4e38", format!("{margin:e}")));
        }
        self.like_before(row, margin)?;
        if !is_listed(row) {
            let Replies { prompt, answers, .. } = compared(row)?;
            return Ok(Ranking { answers: of(row, prompt, answers)?, margin, source });
        }
        let wrong = |origin: &Origin, field: &str, expected: &str, found: String| DataError::Column {
            origin: origin.clone(),
            field: field.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let answers = listed(row)?;
        match (answers.completions.len(), margin) {
            (1, _) => {
                let expected = "at least two answers, the best first";
                let found = "a list of 1, which ranks nothing; correct or remove the row".to_owned();
                Err(wrong(&answers.origin, "completions", expected, found))
            }
            (count @ 3.., Some(margin)) => {
                let expected = "no margin beside a list of more than two answers";
                Err(wrong(&answers.origin, "margin", expected, format!("{margin} for {count} answers")))
            }
            _ => Ok(Ranking { answers, margin, source }),
        }
    }

    fn like_before(&mut self, row: &Row, margin: Option<f64>) -> Result<()> {
        match (&self.first, margin) {
            (None, _) => self.first = Some((margin.is_some(), row.origin.clone())),
            (Some((true, first)), None) => {
                return Err(row.wrong("margin", format!("a number, as in {first}"), "nothing"));
            }
            (Some((false, first)), Some(margin)) => {
                let found = format!("{margin}; give all rows a margin or none");
                return Err(row.wrong("margin", format!("nothing, as in {first}"), found));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The margin of a pair: the column of that name, or by how much the chosen answer was scored higher.
fn margin(row: &mut Row) -> Result<Option<f64>> {
    if row.has("margin") {
        return row.number("margin").map(Some);
    }
    if !row.has("score_chosen") || !row.has("score_rejected") {
        return Ok(None);
    }
    let margin = row.number("score_chosen")? - row.number("score_rejected")?;
    if margin < 0.0 {
        let found = format!("one that is lower by {}", -margin);
        return Err(row.wrong("score_chosen", "a score that is not below `score_rejected`", found));
    }
    Ok(Some(margin))
}
