//! The prompt of a row, wherever its columns have it: by itself, as a question, as the turns before an answer, with a system
//! turn in front and the history between.

use serde_json::Value;

use super::columns::describe;
use super::rows::Row;
use crate::error::Result;
use crate::record::{Message, Text};

/// Columns with a system prompt.
const SYSTEM: [&str; 2] = ["system", "system_prompt"];
/// Columns with a question to an assistant.
const QUESTIONS: [&str; 2] = ["question", "instruction"];

/// Columns with the turns before an answer.
const TURNS: [&str; 3] = ["context", "conversations", "trajectory"];

/// Whether a row gives its prompt in a column of its own.
pub(super) fn is_given(row: &Row) -> bool {
    row.has("prompt")
        || TURNS.into_iter().any(|column| row.has_list(column))
        || QUESTIONS.into_iter().any(|column| row.has(column))
        || row.columns.get("input").is_some_and(Value::is_string)
}

/// The prompt that a row gives in a column of its own, if it does. A question is a user's turn; `prompt` is what it is.
pub(super) fn given(row: &mut Row) -> Result<Option<Text>> {
    let turns = TURNS.into_iter().find(|column| row.has_list(column));
    let prompt = if row.has("prompt") {
        row.text("prompt")?
    } else if let Some(column) = turns {
        row.messages(column)?.into()
    } else if let Some(column) = QUESTIONS.into_iter().find(|column| row.has(column)) {
        question(row, column)?.into()
    } else if row.columns.get("input").is_some_and(Value::is_string) {
        user(row.string("input")?).into()
    } else {
        return Ok(None);
    };
    let Some(before) = history(row)? else { return with_system(row, prompt).map(Some) };
    let prompt = [before, into_turns(prompt)].concat();
    with_system(row, prompt.into()).map(Some)
}

/// The prompt as turns: text alone is what a user says.
pub(super) fn into_turns(prompt: Text) -> Vec<Message> {
    match prompt {
        Text::Plain(text) => user(text),
        Text::Messages(turns) => turns,
    }
}

/// A conversation with the system turn of the row in front, if the row has one.
pub(super) fn with_system(row: &mut Row, prompt: Text) -> Result<Text> {
    let Some((column, text)) = system(row)? else { return Ok(prompt) };
    let turns = into_turns(prompt);
    match turns.first() {
        Some(first) if first.role == "system" && first.content.as_deref() == Some(text.as_str()) => {
            Ok(turns.into())
        }
        Some(first) if first.role == "system" => {
            Err(row.wrong(column, "nothing, or the system turn that the messages begin with", "another one"))
        }
        _ => Ok([vec![Message::new("system", text)], turns].concat().into()),
    }
}

/// Notes whether a prompt that the row has as a string is one still, or a conversation's because there is a system turn.
pub(super) fn note_format(row: &mut Row, prompt: &Text) {
    let has_system = SYSTEM.iter().any(|column| row.used.iter().any(|used| used == column));
    match prompt {
        Text::Plain(_) => row.is_chat = Some(false),
        Text::Messages(_) if has_system => row.is_chat = Some(true),
        Text::Messages(_) => {}
    }
}

/// The system prompt of a row and its column.
pub(super) fn system(row: &mut Row) -> Result<Option<(&'static str, String)>> {
    for column in SYSTEM {
        if let Some(text) = row.optional_string(column)? {
            return Ok(Some((column, text)));
        }
    }
    Ok(None)
}

/// A question with what it is about: `input` in alpaca's layout, `context` in dolly's.
fn question(row: &mut Row, column: &str) -> Result<Vec<Message>> {
    let mut text = row.string(column)?;
    for about in ["input", "context"] {
        if let Some(about) = row.optional_string(about)? {
            text = with_input(&text, &about);
        }
    }
    Ok(user(text))
}

/// An instruction and what it is about, as one text.
pub(super) fn with_input(instruction: &str, input: &str) -> String {
    format!("{instruction}\n\n{input}")
}

/// The turns before the question: pairs of what was asked and answered.
fn history(row: &mut Row) -> Result<Option<Vec<Message>>> {
    let expected = "a list of pairs, each a question and its answer";
    let pairs = match row.take_optional("history") {
        None => return Ok(None),
        Some(Value::Array(pairs)) => pairs,
        Some(other) => return Err(row.wrong("history", expected, describe(&other))),
    };
    let mut turns = Vec::with_capacity(2 * pairs.len());
    for (index, pair) in pairs.iter().enumerate() {
        let texts = pair.as_array().map(|pair| pair.iter().map(|text| text.as_str()).collect::<Vec<_>>());
        let Some([Some(asked), Some(answered)]) = texts.as_deref() else {
            let found = describe(pair);
            return Err(row.wrong(format!("history[{index}]"), "a question and its answer", found));
        };
        turns.extend([Message::new("user", *asked), Message::new("assistant", *answered)]);
    }
    Ok(Some(turns).filter(|turns| !turns.is_empty()))
}

fn user(text: String) -> Vec<Message> {
    vec![Message::new("user", text)]
}
