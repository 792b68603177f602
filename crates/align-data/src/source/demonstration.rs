//! A row to a demonstration or to a prompt.

use super::preference;
use super::rows::Row;
use crate::error::Result;
use crate::record::{Demonstration, DemonstrationBody, PromptOnly, PromptTask, Text};

/// The demonstration in a row; which shape it has, its columns say.
pub(super) fn demonstration(mut row: Row) -> Result<Demonstration> {
    let body = if row.has("prompt") {
        let (prompt, completion) = prompt_completion(&mut row)?;
        DemonstrationBody::PromptCompletion { prompt, completion }
    } else if row.has("messages") {
        DemonstrationBody::Messages { messages: row.messages("messages")? }
    } else if row.columns.contains_key("text") {
        DemonstrationBody::Text { text: row.string("text")? }
    } else {
        return Err(row.missing("text", "`prompt` and `completion`, or `messages`, or `text`"));
    };
    Ok(Demonstration { body, template: row.template_arguments()?, origin: row.origin })
}

/// The prompt in a row, whatever else it holds.
pub(super) fn prompt(mut row: Row) -> Result<PromptOnly> {
    if !row.has("prompt") && row.has("chosen") {
        let pair = preference::pair(row)?;
        return Ok(PromptOnly { prompt: pair.prompt, template: pair.template, origin: pair.origin });
    }
    let prompt = row.non_empty_text("prompt")?;
    Ok(PromptOnly { prompt, template: row.template_arguments()?, origin: row.origin })
}

/// A prompt, with the answer that a column of that name holds.
pub(super) fn task(row: Row, reference_column: &str) -> Result<PromptTask> {
    let reference = row.label(reference_column).filter(|text| !text.trim().is_empty());
    Ok(PromptTask { prompt: prompt(row)?, reference })
}

/// The columns `prompt` and `completion`, both plain or both messages.
pub(super) fn prompt_completion(row: &mut Row) -> Result<(Text, Text)> {
    let prompt = row.text("prompt")?;
    let completion = row.non_empty_text("completion")?;
    match (&prompt, &completion) {
        (Text::Plain(_), Text::Messages(_)) => {
            Err(row.wrong("completion", "a string, as in `prompt`", "a list of messages"))
        }
        (Text::Messages(_), Text::Plain(_)) => {
            Err(row.wrong("completion", "a list of messages, as in `prompt`", "a string"))
        }
        _ => {
            row.check_reply("completion", &completion)?;
            Ok((prompt, completion))
        }
    }
}
