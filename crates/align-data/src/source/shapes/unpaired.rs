//! A row to one labelled answer, or to a pair whose answers are labelled by which was preferred.
//!
//! A data set holds rows of one of the two kinds: a file that mixes them was put together by accident, and the
//! answers of its pairs would be ordered unlike its other rows.

use super::{Shape, answers, first_of, read};
use crate::error::Result;
use crate::record::{Origin, Text, UnpairedPreference, unpair_preferences};
use crate::source::prompt;
use crate::source::reply::{self, Replies};
use crate::source::rows::Row;

const SHAPES: [Shape<Replies>; 4] = [
    Shape { name: "labelled completions", columns: &["completion"], read: completed },
    Shape {
        name: "labelled conversations",
        columns: &["messages", "label"],
        read: |row| ended(row, "messages"),
    },
    Shape {
        name: "ShareGPT's conversations, labelled",
        columns: &["conversations", "label"],
        read: |row| ended(row, "conversations"),
    },
    Shape { name: "labelled answers", columns: &["response|output|answer", "label"], read: answered },
];

/// Rows of one kind.
#[derive(Default)]
pub(in super::super) struct Answers {
    first_labelled: Option<Origin>,
    first_pair: Option<Origin>,
}

impl Answers {
    /// Adds the answer in a row, or both of a pair, chosen and rejected; the row must be of the kind of those before it.
    pub(in super::super) fn add(
        &mut self,
        row: &mut Row,
        records: &mut Vec<UnpairedPreference>,
    ) -> Result<()> {
        let pair = ["chosen", "rejected"].into_iter().find(|field| row.has(field));
        let labelled = ["completion", "label"].into_iter().find(|field| row.has(field));
        match (pair, labelled) {
            (Some(field), _) if !row.has("completion") => self.add_pair(row, field, records),
            (None, Some(field)) if !answers::is_compared(row) => {
                like_before(row, field, LABELLED, self.first_pair.as_ref().map(|first| (PAIR, first)))?;
                let replies = match read(row, &SHAPES) {
                    Some(replies) => replies?,
                    None => completed(row)?,
                };
                let Replies { prompt, mut answers, .. } = replies;
                let (label, template) = (row.flag("label")?, row.template_arguments(&prompt)?);
                let (completion, origin) = (answers.swap_remove(0), row.origin.clone());
                self.first_labelled.get_or_insert_with(|| origin.clone());
                records.push(UnpairedPreference { prompt, completion, label, template, origin });
                Ok(())
            }
            (Some(field), _) => Err(row.wrong(field, format!("{LABELLED}, or {PAIR}"), "columns of both")),
            (None, _) if answers::is_compared(row) => self.add_pair(row, "answers", records),
            (None, _) => Err(row.missing("completion", &format!("{LABELLED}, or {PAIR}"))),
        }
    }

    fn add_pair(&mut self, row: &mut Row, field: &str, records: &mut Vec<UnpairedPreference>) -> Result<()> {
        like_before(row, field, PAIR, self.first_labelled.as_ref().map(|first| (LABELLED, first)))?;
        let pair = answers::pair(row)?;
        self.first_pair.get_or_insert_with(|| pair.origin.clone());
        records.extend(unpair_preferences(vec![pair]));
        Ok(())
    }
}

const LABELLED: &str = "`prompt`, `completion` and `label`";
const PAIR: &str = "`chosen` and `rejected`";

fn completed(row: &mut Row) -> Result<Replies> {
    row.shape = "labelled completions";
    let answer = vec![("completion".to_owned(), row.non_empty_text("completion")?)];
    reply::replies(row, answer)
}

fn answered(row: &mut Row) -> Result<Replies> {
    let column = first_of(row, &["response", "output", "answer"]);
    let answer = vec![(column.to_owned(), row.non_empty_text(column)?)];
    reply::turns(row, answer)
}

/// A conversation whose last turns, the assistant's, are labelled.
fn ended(row: &mut Row, column: &str) -> Result<Replies> {
    let mut messages = row.messages(column)?;
    let before = messages.iter().rposition(|message| message.role != "assistant").map_or(0, |last| last + 1);
    let answer = messages.split_off(before);
    if answer.is_empty() || messages.is_empty() {
        let expected = "a conversation that ends with an answer of the assistant's to somebody";
        return Err(row.wrong(column, expected, "another one"));
    }
    let prompt = prompt::with_system(row, messages.into())?;
    let answers: Vec<Text> = vec![answer.into()];
    row.refuse_empty(column, &answers[0])?;
    Ok(Replies { prompt, answers, layout: reply::Layout::Transcripts })
}

/// Refuses a row if there was one of the other kind before it.
fn like_before(row: &Row, field: &str, kind: &str, other: Option<(&str, &Origin)>) -> Result<()> {
    let Some((expected, first)) = other else { return Ok(()) };
    let found = format!("{kind}; a data set holds rows of one kind");
    Err(row.wrong(field, format!("{expected}, as in {first}"), found))
}
