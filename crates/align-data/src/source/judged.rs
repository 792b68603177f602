//! A row of an evaluation set to two answers and the votes on them.
//!
//! Such sets come as people left them: an answer that is the boolean `true`, a tie, an empty answer, a missing column. A
//! row that cannot be used is left out and counted, because what is measured on the others is still right; in training
//! data the same row stops the load.

use serde_json::Value;

use super::columns::describe;
use super::prompt::{into_turns, with_input};
use super::reply::into_reply;
use super::report::LeftOut;
use super::rows::Row;
use super::shapes::{self, ANSWERS, votes};
use crate::error::{DataError, Result};
use crate::record::{Candidates, JudgedPair, ListPlace, Message, Text, Vote};

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

/// Rows as they are read.
#[derive(Default)]
pub(super) struct Judging {
    found: JudgedPairs,
    /// What is wrong with the first row that was left out.
    first: Option<DataError>,
}

impl Judging {
    /// Takes the next row.
    pub(super) fn add(&mut self, row: &mut Row, subset_column: &str) -> Result<()> {
        self.found.rows += 1;
        match pairs(row, subset_column).and_then(|pairs| row.refuse_meaningful().map(|()| pairs)) {
            Ok(pairs) => self.found.pairs.extend(pairs),
            Err(error) => {
                self.leave_out(error)?;
                // What is left in it is nobody's concern.
                row.columns.clear();
            }
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

    fn leave_out(&mut self, error: DataError) -> Result<()> {
        let Some(reason) = error.reason() else { return Err(error) };
        LeftOut::count(&mut self.found.left_out, reason, 1, &error);
        self.first.get_or_insert(error);
        Ok(())
    }
}

/// The pairs of a row: one, or those of its lists.
fn pairs(row: &mut Row, subset_column: &str) -> Result<Vec<JudgedPair>> {
    let is_list = |field: &str| {
        let answers = row.columns.get(field).and_then(Value::as_array);
        answers.is_some_and(|answers| answers.first().is_some_and(Value::is_string))
    };
    match is_list("chosen") && is_list("rejected") {
        true => lists(row, subset_column),
        false => Ok(vec![judged(row, subset_column)?]),
    }
}

/// Right and wrong answers to a question: each right one with a wrong one until all have their turn, or, of three styles of each,
/// all with all.
fn lists(row: &mut Row, subset_column: &str) -> Result<Vec<JudgedPair>> {
    const STYLES: usize = 3;
    let subset = row.label(subset_column).or_else(|| row.label("domain"));
    let name = row.label("id").unwrap_or_else(|| row.origin.to_string());
    let prompt = Text::from(into_turns(row.non_empty_text("prompt")?));
    let template = row.template_arguments(&prompt)?;
    let mut answers = |field: &str| {
        let texts = row.texts(field)?;
        Ok::<_, DataError>(texts.into_iter().map(|(_, text)| into_reply(text)).collect::<Vec<_>>())
    };
    let (right, wrong) = (answers("chosen")?, answers("rejected")?);
    let are_styles = right.len() == STYLES && wrong.len() == STYLES;
    let count = if are_styles { STYLES * STYLES } else { right.len().max(wrong.len()) };
    let pair = |number: usize| {
        let chosen = if are_styles { number / STYLES } else { number % right.len() };
        let rejected = number % wrong.len();
        let completions = vec![right[chosen].clone(), wrong[rejected].clone()];
        let (prompt, template, origin) = (prompt.clone(), template.clone(), row.origin.clone());
        let (chosen, rejected) = ((chosen, right.len()), (rejected, wrong.len()));
        let place = ListPlace { row: name.clone(), chosen, rejected };
        JudgedPair {
            answers: Candidates { prompt, completions, template, origin },
            votes: vec![Vote::First],
            subset: subset.clone(),
            place: Some(place),
        }
    };
    Ok((0..count).map(pair).collect())
}

fn judged(row: &mut Row, subset_column: &str) -> Result<JudgedPair> {
    let subset = row.label(subset_column);
    if row.has("chosen_instruction") {
        return Ok(JudgedPair { answers: graded(row)?, votes: vec![Vote::First], subset, place: None });
    }
    let Some(columns) = ANSWERS.iter().find(|columns| columns.iter().all(|it| row.columns.contains_key(*it)))
    else {
        return Ok(JudgedPair {
            answers: shapes::pair(row)?.into(),
            votes: vec![Vote::First],
            subset,
            place: None,
        });
    };
    let votes = votes(row)?;
    let prompt = prompt(row)?;
    let answers = columns.iter().map(|column| answer(row, column, &prompt)).collect::<Result<Vec<_>>>()?;
    let template = row.template_arguments(&prompt)?;
    let answers = Candidates { prompt, completions: answers, template, origin: row.origin.clone() };
    Ok(JudgedPair { answers, votes, subset, place: None })
}

/// `prompt`, or `instruction` with an `input` that may be missing: a question of the user's.
fn prompt(row: &mut Row) -> Result<Text> {
    if row.has("prompt") {
        return row.non_empty_text("prompt");
    }
    if !row.has("instruction") && row.has("input") {
        return Ok(Text::Messages(vec![Message::new("user", row.string("input")?)]));
    }
    if !row.has("instruction") {
        return Err(row.missing("prompt", "`prompt`, or `instruction` with or without `input`"));
    }
    let mut question = row.string("instruction")?;
    if let Some(input) = row.label("input").filter(|input| !input.trim().is_empty()) {
        question = with_input(&question, &input);
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

const QUESTION: &str = "###The instruction to evaluate:\n";
const ANSWER: &str = "\n\n###Response to evaluate:\n";
const RUBRIC: &str = "\n\n###Score Rubrics:";

/// The pair inside two requests to a grading model, each of which quotes the instruction and one answer.
fn graded(row: &Row) -> Result<Candidates> {
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
        origin: row.origin.clone(),
    })
}
