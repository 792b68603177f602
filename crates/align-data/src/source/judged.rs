//! A row of an evaluation set to two answers and the votes on them.
//!
//! Such sets come as people left them: an answer that is the boolean `true`, a tie, an empty answer, a missing column. A
//! row that cannot be used is left out and counted, because what is measured on the others is still right; in training
//! data the same row stops the load.

use serde_json::Value;

use super::columns::describe;
use super::preference;
use super::rows::Row;
use crate::error::{DataError, Result};
use crate::record::{Candidates, JudgedPair, Message, Text, Vote};

/// Columns that hold the two answers.
const ANSWERS: [[&str; 2]; 6] = [
    ["response1", "response2"],
    ["response_1", "response_2"],
    ["response_a", "response_b"],
    ["output_1", "output_2"],
    ["answer1", "answer2"],
    ["completion_a", "completion_b"],
];
/// Columns that hold a vote; `annotator1`, `annotator2`, … are others.
const VOTES: [&str; 4] = ["preference", "winner", "vote", "human_preference"];

/// The judged pairs of a split, and what was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JudgedPairs {
    /// The rows that can be used.
    pub pairs: Vec<JudgedPair>,
    /// Rows read.
    pub rows: usize,
    /// Rows that were left out, by reason: how many, and what is wrong with the first of them.
    pub left_out: Vec<LeftOut>,
}

/// Rows that cannot be used for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// The column that is wrong.
    pub field: String,
    /// The number of rows.
    pub rows: usize,
    /// The complaint about the first.
    pub first: String,
}

/// Rows as they are read.
#[derive(Default)]
pub(super) struct Judging {
    found: JudgedPairs,
    /// What is wrong with the first row that was left out.
    first: Option<DataError>,
}

impl Judging {
    /// Takes the next row.
    pub(super) fn add(&mut self, row: Row, subset_column: &str) -> Result<()> {
        self.found.rows += 1;
        match judged(row, subset_column) {
            Ok(pair) => self.found.pairs.push(pair),
            Err(error @ DataError::Column { .. }) => self.leave_out(error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The pairs, at least one.
    pub(super) fn finish(self) -> Result<JudgedPairs> {
        match self.first {
            Some(error) if self.found.pairs.is_empty() => Err(error),
            _ => Ok(self.found),
        }
    }

    fn leave_out(&mut self, error: DataError) {
        let DataError::Column { field, .. } = &error else { return };
        match self.found.left_out.iter_mut().find(|reason| reason.field == *field) {
            Some(reason) => reason.rows += 1,
            None => {
                let (field, first) = (field.clone(), error.to_string());
                self.found.left_out.push(LeftOut { field, rows: 1, first });
            }
        }
        self.first.get_or_insert(error);
    }
}

fn judged(mut row: Row, subset_column: &str) -> Result<JudgedPair> {
    let subset = row.label(subset_column);
    if row.has("chosen_instruction") {
        return Ok(JudgedPair { answers: graded(row)?, votes: vec![Vote::First], subset });
    }
    let Some(columns) = ANSWERS.iter().find(|columns| columns.iter().all(|it| row.columns.contains_key(*it)))
    else {
        return Ok(JudgedPair { answers: preference::pair(row)?.into(), votes: vec![Vote::First], subset });
    };
    let votes = votes(&row)?;
    let prompt = prompt(&mut row)?;
    let answers = columns.iter().map(|column| answer(&row, column, &prompt)).collect::<Result<Vec<_>>>()?;
    let template = row.template_arguments()?;
    let answers = Candidates { prompt, completions: answers, template, origin: row.origin };
    Ok(JudgedPair { answers, votes, subset })
}

/// `prompt`, or `instruction` with an `input` that may be missing: a question of the user's.
fn prompt(row: &mut Row) -> Result<Text> {
    if row.has("prompt") {
        return row.non_empty_text("prompt");
    }
    if !row.has("instruction") {
        return Err(row.missing("prompt", "`prompt`, or `instruction` with or without `input`"));
    }
    let mut question = row.string("instruction")?;
    if let Some(input) = row.label("input").filter(|input| !input.trim().is_empty()) {
        question = format!("{question}\n\n{input}");
    }
    Ok(Text::Messages(vec![Message::new("user", question)]))
}

/// A text, or what was one before somebody's exporter took it for a boolean or a number.
fn answer(row: &Row, column: &str, prompt: &Text) -> Result<Text> {
    let text = match row.columns.get(column) {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
        other => {
            let found = other.map_or_else(|| "nothing".to_owned(), describe);
            return Err(row.wrong(column, "an answer", found));
        }
    };
    if text.trim().is_empty() {
        return Err(row.wrong(column, "an answer", "nothing: it is empty"));
    }
    Ok(match prompt {
        Text::Plain(_) => Text::Plain(text),
        Text::Messages(_) => Text::Messages(vec![Message::new("assistant", text)]),
    })
}

fn votes(row: &Row) -> Result<Vec<Vote>> {
    let is_vote = |name: &str| VOTES.contains(&name) || name.starts_with("annotator");
    let columns = row.columns.iter().filter(|(name, value)| is_vote(name) && !value.is_null());
    let votes = columns.map(|(name, value)| {
        vote(value).ok_or_else(|| {
            row.wrong(name, "1 (the first), 2 (the second) or 0 (a tie), or such a word", describe(value))
        })
    });
    let votes = votes.collect::<Result<Vec<_>>>()?;
    if votes.is_empty() {
        return Err(row.missing("preference", "who is better: `preference`, `winner` or `annotator1`, …"));
    }
    Ok(votes)
}

/// 1, 2 and 0 as people's votes are written, words for them, and what lies between 1 and 2, as AlpacaEval has it.
fn vote(value: &Value) -> Option<Vote> {
    let word = match value {
        Value::String(word) => word.trim().to_lowercase(),
        other => other.to_string(),
    };
    match word.as_str() {
        "a" | "model_a" | "first" | "response1" | "response_a" | "output_1" => return Some(Vote::First),
        "b" | "model_b" | "second" | "response2" | "response_b" | "output_2" => return Some(Vote::Second),
        "tie" | "both" | "neither" | "tie (bothbad)" | "equal" => return Some(Vote::Tie),
        _ => {}
    }
    match word.parse::<f64>().ok()? {
        0.0 | 1.5 => Some(Vote::Tie),
        first if (1.0..1.5).contains(&first) => Some(Vote::First),
        second if second > 1.5 && second <= 2.0 => Some(Vote::Second),
        _ => None,
    }
}

const QUESTION: &str = "###The instruction to evaluate:\n";
const ANSWER: &str = "\n\n###Response to evaluate:\n";
const RUBRIC: &str = "\n\n###Score Rubrics:";

/// The pair inside two requests to a grading model, each of which quotes the instruction and one answer.
fn graded(row: Row) -> Result<Candidates> {
    let part = |column: &str| {
        let text = row.columns.get(column).and_then(Value::as_str).unwrap_or_default();
        let quoted = text.split_once(QUESTION).and_then(|(_, rest)| rest.split_once(ANSWER));
        let parts = quoted.map(|(question, rest)| {
            let answer = rest.split_once(RUBRIC).map_or(rest, |(answer, _)| answer);
            (question.to_owned(), answer.to_owned())
        });
        let is_whole =
            |(question, answer): &(String, String)| !question.is_empty() && !answer.trim().is_empty();
        parts.filter(is_whole).ok_or_else(|| {
            let expected = "a request that quotes an instruction and a response to evaluate";
            row.wrong(column, expected, "another text")
        })
    };
    let ((question, chosen), (other, rejected)) =
        (part("chosen_instruction")?, part("rejected_instruction")?);
    if question != other {
        return Err(row.wrong(
            "rejected_instruction",
            "the instruction of `chosen_instruction`",
            "another one",
        ));
    }
    let message = |role: &str, text: String| Text::Messages(vec![Message::new(role, text)]);
    Ok(Candidates {
        prompt: message("user", question),
        completions: vec![message("assistant", chosen), message("assistant", rejected)],
        template: crate::record::TemplateArguments::default(),
        origin: row.origin,
    })
}
