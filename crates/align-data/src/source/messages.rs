//! Messages as data sets have them: `role` and `content`, or ShareGPT's `from` and `value`; their text in one piece or in
//! parts.
//!
//! A message that is not text is refused by the name of what it is: leaving out an image would teach answers to what
//! nobody asked.

use serde_json::{Map, Value, json};

use super::columns::{describe, without_nulls};
use super::rows::Row;
use crate::error::Result;
use crate::guard::shortened;
use crate::record::Message;

/// ShareGPT's names of roles, and those that chat templates know.
const SPEAKERS: [(&str, &str); 15] = [
    ("human", "user"),
    ("user", "user"),
    ("prompter", "user"),
    ("gpt", "assistant"),
    ("assistant", "assistant"),
    ("chatgpt", "assistant"),
    ("bot", "assistant"),
    ("model", "assistant"),
    ("function_call", "assistant"),
    ("tool_call", "assistant"),
    ("observation", "tool"),
    ("tool", "tool"),
    ("function_response", "tool"),
    ("tool_response", "tool"),
    ("system", "system"),
];
/// What such a role says is a call, written as JSON.
const CALLS: [&str; 2] = ["function_call", "tool_call"];

impl Row {
    /// A column that must be a list of messages.
    pub(super) fn messages(&mut self, field: &str) -> Result<Vec<Message>> {
        match self.take(field)? {
            Value::Array(values) => self.messages_of(field, values),
            other => Err(self.wrong(field, "a list of messages", describe(&other))),
        }
    }

    /// Values that must be messages, at least one.
    pub(super) fn messages_of(&self, field: &str, values: Vec<Value>) -> Result<Vec<Message>> {
        if values.is_empty() {
            return Err(self.wrong(
                field,
                "at least one message",
                "an empty list; correct or remove the row",
            ));
        }
        let message = |(index, value)| self.message(&format!("{field}[{index}]"), value);
        values.into_iter().enumerate().map(message).collect()
    }

    /// A value that must be a message.
    pub(super) fn message(&self, field: &str, value: Value) -> Result<Message> {
        const EXPECTED: &str = "a message with `role` and `content` (or `from` and `value`)";
        let mut keys = match without_nulls(value) {
            Value::Object(keys) => keys,
            other => return Err(self.wrong(field, EXPECTED, describe(&other))),
        };
        if let Some(from) = keys.remove("from") {
            return self.said(field, &from, keys);
        }
        let role = match keys.remove("role") {
            Some(Value::String(role)) => role,
            Some(other) => return Err(self.wrong(format!("{field}.role"), "a string", describe(&other))),
            None => return Err(self.wrong(field, EXPECTED, describe(&Value::Object(keys)))),
        };
        let content = keys.remove("content");
        let content =
            content.map(|content| self.content(&format!("{field}.content"), content)).transpose()?;
        Ok(Message { role, content, extra: keys })
    }

    /// A message of ShareGPT's.
    fn said(&self, field: &str, from: &Value, mut keys: Map<String, Value>) -> Result<Message> {
        let speaker = SPEAKERS.iter().find(|(name, _)| from.as_str() == Some(name));
        let Some((name, role)) = speaker else {
            let names = SPEAKERS.map(|(name, _)| name).join(", ");
            return Err(self.wrong(format!("{field}.from"), format!("one of {names}"), describe(from)));
        };
        let place = format!("{field}.value");
        let value = keys.remove("value").unwrap_or_default();
        if !CALLS.contains(name) {
            let content = Some(self.content(&place, value)?);
            return Ok(Message { role: (*role).to_owned(), content, extra: keys });
        }
        let expected = "JSON of a call with `name` and `arguments`, or of a list of them";
        let calls: Value = match &value {
            Value::String(text) => {
                serde_json::from_str(text).map_err(|_| self.wrong(&place, expected, describe(&value)))?
            }
            other => other.clone(),
        };
        let calls = if let Value::Array(calls) = calls { calls } else { vec![calls] };
        let call = |mut call: Value| {
            let arguments = call.get_mut("arguments").map(Value::take).unwrap_or_default();
            // Arguments are an object in what templates read; some write it as text once more.
            let read = arguments.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
            let arguments = read.filter(Value::is_object).unwrap_or(arguments);
            match call.get("name") {
                Some(Value::String(name)) => {
                    let function = json!({ "name": name, "arguments": arguments });
                    Ok(json!({ "type": "function", "function": function }))
                }
                _ => Err(self.wrong(&place, expected, describe(&value))),
            }
        };
        let calls = calls.into_iter().map(call).collect::<Result<Vec<_>>>()?;
        keys.insert("tool_calls".to_owned(), Value::Array(calls));
        Ok(Message { role: (*role).to_owned(), content: None, extra: keys })
    }

    /// The text of a message, in one piece or in parts.
    fn content(&self, field: &str, value: Value) -> Result<String> {
        let parts = match value {
            Value::String(text) => return Ok(text),
            Value::Array(parts) => parts,
            other => return Err(self.wrong(field, "a string", describe(&other))),
        };
        let part = |(index, part): (usize, Value)| {
            let kind = part.get("type").and_then(Value::as_str);
            let text = ["text", "value", "content"].into_iter().find_map(|key| part.get(key)?.as_str());
            match (&part, kind, text) {
                (Value::String(text), ..) => Ok(text.clone()),
                (_, Some("text"), Some(text)) => Ok(text.to_owned()),
                _ => {
                    let kind = kind.map(|kind| format!("one of type `{}`", shortened(kind)));
                    let found = kind.unwrap_or_else(|| describe(&part));
                    Err(self.wrong(format!("{field}[{index}]"), "a part of type `text`", found))
                }
            }
        };
        parts.into_iter().enumerate().map(part).collect()
    }
}
