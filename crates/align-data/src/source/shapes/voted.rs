//! Rows with two answers and somebody's vote for one of them.

use serde_json::Value;

use crate::error::Result;
use crate::record::Vote;
use crate::source::columns::describe;
use crate::source::reply::{self, Replies};
use crate::source::rows::Row;

/// Columns that hold the two answers.
pub(in super::super) const ANSWERS: [[&str; 2]; 6] = [
    ["response1", "response2"],
    ["response_1", "response_2"],
    ["response_a", "response_b"],
    ["output_1", "output_2"],
    ["answer1", "answer2"],
    ["completion_a", "completion_b"],
];
/// Columns that hold a vote; `annotator1`, `annotator2`, … are others.
const VOTES: [&str; 5] = ["preference", "winner", "vote", "human_preference", "label"];

/// Whether a row has two answers and a vote.
pub(super) fn is_voted(row: &Row) -> bool {
    columns(row).is_some() && row.columns.iter().any(|(name, value)| is_vote(name) && !value.is_null())
}

fn columns(row: &Row) -> Option<[&'static str; 2]> {
    ANSWERS.into_iter().find(|columns| columns.iter().all(|column| row.has(column)))
}

fn is_vote(name: &str) -> bool {
    VOTES.contains(&name) || name.starts_with("annotator")
}

/// Two answers with votes: the majority's first.
pub(super) fn answers(row: &mut Row) -> Result<Replies> {
    row.shape = "two answers and votes";
    let votes = votes(row)?;
    for name in row.columns.keys().filter(|name| is_vote(name)).cloned().collect::<Vec<_>>() {
        row.take(&name)?;
    }
    let count = |vote: Vote| votes.iter().filter(|&&other| other == vote).count();
    let columns = columns(row).unwrap_or(ANSWERS[0]);
    chosen(row, columns, count(Vote::First).cmp(&count(Vote::Second)))
}

/// HelpSteer 3: `overall_preference` from -3, the first is much better, to 3, the second is.
pub(super) fn by_overall_preference(row: &mut Row) -> Result<Replies> {
    let preference = row.number("overall_preference")?;
    chosen(row, ["response1", "response2"], 0.0_f64.total_cmp(&(preference + 0.0)))
}

/// Arenas: two conversations with the same questions, and the winner.
pub(super) fn conversations(row: &mut Row) -> Result<Replies> {
    let winner = row.take("winner")?;
    let Some(vote) = vote(&winner) else {
        return Err(row.wrong("winner", "`model_a`, `model_b` or a tie", describe(&winner)));
    };
    chosen(row, ["conversation_a", "conversation_b"], Vote::Tie.cmp(&vote))
}

/// The answers in two columns, the better first; `first` is greater where that is the first.
fn chosen(row: &mut Row, mut columns: [&str; 2], first: std::cmp::Ordering) -> Result<Replies> {
    match first {
        std::cmp::Ordering::Greater => {}
        std::cmp::Ordering::Less => columns.reverse(),
        std::cmp::Ordering::Equal => row.tie("the vote is a tie")?,
    }
    let answers = columns.map(|column| Ok((column.to_owned(), row.non_empty_text(column)?)));
    reply::turns(row, answers.into_iter().collect::<Result<_>>()?)
}

/// The votes of a row, at least one.
pub(in super::super) fn votes(row: &mut Row) -> Result<Vec<Vote>> {
    for (number, voted) in row.voted.iter_mut().enumerate() {
        let is_it = |value: &Value| match value {
            Value::String(word) => word.trim() == number.to_string(),
            other => other.as_f64() == Some(number as f64),
        };
        *voted = row.columns.iter().any(|(name, value)| is_vote(name) && is_it(value));
    }
    let row = &*row;
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
        "tie" | "both" | "neither" | "tie (bothbad)" | "both_bad" | "equal" => return Some(Vote::Tie),
        _ => {}
    }
    match word.parse::<f64>().ok()? {
        0.0 | 1.5 => Some(Vote::Tie),
        first if (1.0..1.5).contains(&first) => Some(Vote::First),
        second if second > 1.5 && second <= 2.0 => Some(Vote::Second),
        _ => None,
    }
}
