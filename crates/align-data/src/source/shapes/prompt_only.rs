//! A row to a prompt, whatever else it holds.

use serde_json::Value;

use super::{Shape, answers, demonstration, graded, read, trees};
use crate::error::Result;
use crate::record::{Message, PromptOnly, PromptTask, Text};
use crate::source::columns::describe;
use crate::source::prompt;
use crate::source::rows::Row;

const SHAPES: [Shape<Text>; 5] = [
    Shape { name: "conversation trees", columns: &["message_tree_id", "prompt"], read: trees::prompt },
    Shape {
        name: "instructions with an instance",
        columns: &["instruction", "instances[].output"],
        read: |row| Ok(demonstration::instance(row)?.0),
    },
    Shape { name: "the first of several turns", columns: &["turns"], read: first_turn },
    Shape {
        name: "conversations up to their last answer",
        columns: &["messages"],
        read: |row| beginning(row, "messages"),
    },
    Shape {
        name: "ShareGPT's conversations up to their last answer",
        columns: &["conversations"],
        read: |row| beginning(row, "conversations"),
    },
];

/// The prompt in a row.
pub(in super::super) fn prompt(row: &mut Row) -> Result<PromptOnly> {
    row.takes_ties = true;
    let is_chosen = row.has("chosen") && row.has("rejected");
    // Whole conversations hold their prompt; a column beside them may hold a part of it.
    let is_beside = row.has_list("chosen") || row.has("message_tree_id");
    let is_instance = row.has_list("instances");
    let prompt =
        if !is_beside && !is_instance && (is_chosen || !row.has("conversations")) && prompt::is_given(row) {
            named(row, !is_chosen)?
        } else if let Some(prompt) = answers::prompt(row) {
            prompt?
        } else if let Some(prompt) = read(row, &SHAPES) {
            prompt?
        } else {
            return Err(row.missing("prompt", "a column of this name"));
        };
    let template = row.template_arguments(&prompt)?;
    Ok(PromptOnly { prompt, template, origin: row.origin.clone() })
}

/// A prompt, with the answer that a column of that name holds.
pub(in super::super) fn task(row: &mut Row, reference_column: &str) -> Result<PromptTask> {
    let reference = row.label(reference_column).filter(|text| !text.trim().is_empty());
    Ok(PromptTask { prompt: prompt(row)?, reference })
}

/// The prompt that a column holds. Beside answers to a question it is one.
fn named(row: &mut Row, may_be_question: bool) -> Result<Text> {
    row.shape = "prompts";
    let is_question = may_be_question && (answers::is_compared(row) || row.has("response"));
    graded::read_transcript(row);
    let Some(prompt) = prompt::given(row)? else {
        return Err(row.missing("prompt", "a column of this name"));
    };
    row.refuse_empty("prompt", &prompt)?;
    if is_question {
        return Ok(prompt::into_turns(prompt).into());
    }
    prompt::note_format(row, &prompt);
    Ok(prompt)
}

/// The turns before the last ones of the assistant.
fn beginning(row: &mut Row, column: &str) -> Result<Text> {
    let mut messages = row.messages(column)?;
    let is_reply = |message: &Message| message.role == "assistant";
    let end = messages.iter().rposition(|message| !is_reply(message)).map_or(0, |last| last + 1);
    messages.truncate(end);
    if messages.is_empty() {
        return Err(row.wrong(column, "a turn before the assistant's", "none"));
    }
    prompt::with_system(row, messages.into())
}

/// The first question of a conversation whose answers are still to be given.
fn first_turn(row: &mut Row) -> Result<Text> {
    let turns = row.list("turns")?;
    match turns.into_iter().next() {
        Some(Value::String(text)) if !text.trim().is_empty() => {
            prompt::with_system(row, vec![Message::new("user", text)].into())
        }
        other => Err(row.wrong("turns[0]", "a question", describe(&other.unwrap_or_default()))),
    }
}
