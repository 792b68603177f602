//! A row to a demonstration.

use serde_json::Value;

use super::{Shape, first_of, read};
use crate::error::Result;
use crate::record::{Demonstration, DemonstrationBody, Message, Text};
use crate::source::columns::describe;
use crate::source::reply::{self, Replies};
use crate::source::rows::Row;
use crate::source::{prompt, shapes::trees};

const SHAPES: [Shape<DemonstrationBody>; 9] = [
    Shape { name: "prompts with completions", columns: &["prompt", "completion"], read: completed },
    Shape { name: "conversations", columns: &["messages"], read: |row| conversation(row, "messages") },
    Shape {
        name: "ShareGPT's conversations",
        columns: &["conversations"],
        read: |row| conversation(row, "conversations"),
    },
    Shape { name: "conversation trees", columns: &["message_tree_id", "prompt"], read: trees::conversation },
    Shape { name: "instructions with answers", columns: &["instruction", "output|response"], read: answered },
    Shape {
        name: "instructions with an instance",
        columns: &["instruction", "instances[].output"],
        read: |row| {
            let (prompt, completion) = instance(row)?;
            Ok(DemonstrationBody::PromptCompletion { prompt, completion })
        },
    },
    Shape {
        name: "questions with answers",
        columns: &["question", "answer|response|output"],
        read: answered,
    },
    Shape { name: "prompts with answers", columns: &["prompt", "response|answer|output"], read: answered },
    Shape { name: "texts", columns: &["text"], read: text },
];

/// The demonstration in a row; which shape it has, its columns say.
pub(in super::super) fn demonstration(row: &mut Row) -> Result<Demonstration> {
    let body = match read(row, &SHAPES) {
        Some(body) => body?,
        None if row.has("prompt") => completed(row)?,
        None if row.columns.contains_key("text") => text(row)?,
        None => {
            let expected = "`prompt` and `completion`, or `messages`, or `text`";
            return Err(row.missing("text", expected));
        }
    };
    let is_for = match &body {
        DemonstrationBody::PromptCompletion { prompt, .. } => prompt.clone(),
        DemonstrationBody::Messages { .. } => Text::Messages(Vec::new()),
        DemonstrationBody::Text { .. } => Text::Plain(String::new()),
    };
    let template = row.template_arguments(&is_for)?;
    Ok(Demonstration { body, template, origin: row.origin.clone() })
}

fn completed(row: &mut Row) -> Result<DemonstrationBody> {
    let answer = vec![("completion".to_owned(), row.non_empty_text("completion")?)];
    Ok(of(reply::replies(row, answer)?))
}

fn answered(row: &mut Row) -> Result<DemonstrationBody> {
    let column = first_of(row, &["output", "response", "answer"]);
    let answer = vec![(column.to_owned(), row.non_empty_text(column)?)];
    Ok(of(reply::turns(row, answer)?))
}

fn of(replies: Replies) -> DemonstrationBody {
    let Replies { prompt, mut answers, .. } = replies;
    DemonstrationBody::PromptCompletion { prompt, completion: answers.swap_remove(0) }
}

fn text(row: &mut Row) -> Result<DemonstrationBody> {
    Ok(DemonstrationBody::Text { text: row.string("text")? })
}

/// A conversation, which may have its prompt in a column too.
fn conversation(row: &mut Row, column: &str) -> Result<DemonstrationBody> {
    let mut messages = row.messages(column)?;
    if row.has("prompt") {
        let given = row.text("prompt")?;
        messages = match messages[0].role.as_str() {
            "assistant" => [prompt::into_turns(given), messages].concat(),
            _ => prompt::into_turns(reply::repeated(row, given, messages)?),
        };
    }
    let messages = prompt::into_turns(prompt::with_system(row, messages.into())?);
    let says = |message: &Message| {
        let text = message.content.as_deref().unwrap_or_default();
        !text.trim().is_empty() || message.extra.contains_key("tool_calls")
    };
    let mut answers = messages.iter().filter(|message| message.role == "assistant").peekable();
    if answers.peek().is_some() && !answers.any(says) {
        return Err(row.wrong(column, "a turn of the assistant with something in it", "empty ones alone"));
    }
    if column == "conversations" {
        wrap_tools(row)?;
    }
    Ok(DemonstrationBody::Messages { messages })
}

/// Tools beside ShareGPT's conversations are most often bare functions; templates read them as `{type, function}`.
fn wrap_tools(row: &mut Row) -> Result<()> {
    let Some(value) = row.columns.get_mut("tools") else { return Ok(()) };
    let parsed = match value.as_str() {
        Some(json) if json.trim().is_empty() => return Ok(()),
        Some(json) => match serde_json::from_str(json) {
            Ok(parsed) => parsed,
            // Said where tools are read.
            Err(_) => return Ok(()),
        },
        None => value.take(),
    };
    let Value::Array(tools) = parsed else {
        let found = describe(&parsed);
        return Err(row.wrong("tools", "a list of functions", found));
    };
    let wrapped = tools.into_iter().map(|tool| match tool.get("name") {
        Some(_) if tool.get("function").is_none() => {
            serde_json::json!({ "type": "function", "function": tool })
        }
        _ => tool,
    });
    row.columns.insert("tools".to_owned(), wrapped.collect());
    Ok(())
}

/// An instruction whose input and output stand in a list of one: the prompt and the answer.
pub(super) fn instance(row: &mut Row) -> Result<(Text, Text)> {
    let mut instances = row.list("instances")?;
    if instances.len() > 1 {
        let found = format!("{}", instances.len());
        return Err(row.wrong("instances", "one instance", found));
    }
    let mut text = |key: &str| match instances[0].get_mut(key).map(Value::take) {
        Some(Value::String(text)) => Ok(text),
        other => {
            let found = describe(&other.unwrap_or_default());
            Err(row.wrong(format!("instances[0].{key}"), "a string", found))
        }
    };
    let (input, output) = (text("input")?, text("output")?);
    row.refuse_empty("instances[0].output", &output.as_str().into())?;
    let mut instruction = row.string("instruction")?;
    if !input.trim().is_empty() {
        instruction = prompt::with_input(&instruction, &input);
    }
    let prompt = prompt::with_system(row, vec![Message::new("user", instruction)].into())?;
    Ok((prompt, reply::into_reply(output.into())))
}
