//! Typed columns out of a row, with errors that say what was expected and what is there.

use serde_json::{Map, Value};

use super::rows::Row;
use crate::error::{DataError, Result};
use crate::guard::shortened;
use crate::record::{Message, TemplateArguments, Text};

impl Row {
    /// Whether the column exists and is not null; exporters write null for "no such column in this row".
    pub(super) fn has(&self, field: &str) -> bool {
        self.columns.get(field).is_some_and(|value| !value.is_null())
    }

    /// A column that must be a string or a list of messages; it may be empty text.
    pub(super) fn text(&mut self, field: &str) -> Result<Text> {
        match self.take(field)? {
            Value::String(text) => Ok(Text::Plain(text)),
            Value::Array(values) => Ok(Text::Messages(self.messages_of(field, values)?)),
            other => Err(self.wrong(field, "a string or a list of messages", describe(&other))),
        }
    }

    /// Like [`Row::text`], but empty text is an error: nothing can be learned from it.
    pub(super) fn non_empty_text(&mut self, field: &str) -> Result<Text> {
        let text = self.text(field)?;
        let empty = match &text {
            Text::Plain(text) => text.is_empty(),
            Text::Messages(messages) => messages.iter().all(|message| {
                message.content.as_deref().unwrap_or_default().is_empty() && message.extra.is_empty()
            }),
        };
        if empty {
            return Err(self.wrong(field, "text", "nothing: it is empty; correct or remove the row"));
        }
        Ok(text)
    }

    /// An answer made of messages must begin with the assistant's: another role would be learned as it is.
    pub(super) fn check_reply(&self, field: &str, answer: &Text) -> Result<()> {
        let Text::Messages(messages) = answer else { return Ok(()) };
        match messages.first().map_or("nothing", |message| message.role.as_str()) {
            "assistant" => Ok(()),
            other => Err(self.wrong(
                field,
                "an answer that begins with a message of role `assistant`",
                format!("`{}`", shortened(other)),
            )),
        }
    }

    /// A column that must be a string with something in it.
    pub(super) fn string(&mut self, field: &str) -> Result<String> {
        match self.take(field)? {
            Value::String(text) if text.is_empty() => {
                Err(self.wrong(field, "text", "nothing: it is empty; correct or remove the row"))
            }
            Value::String(text) => Ok(text),
            other => Err(self.wrong(field, "a string", describe(&other))),
        }
    }

    /// A column that must say yes or no: a boolean, or 1 or 0 as exporters without booleans write them, or these as text
    /// where there is nothing but text, as in CSV.
    pub(super) fn flag(&mut self, field: &str) -> Result<bool> {
        let value = self.take(field)?;
        match (value.as_bool(), value.as_u64(), value.as_str().filter(|_| self.is_text)) {
            (Some(flag), ..) => Ok(flag),
            (None, Some(number @ (0 | 1)), _) => Ok(number == 1),
            (None, None, Some("true" | "True" | "1")) => Ok(true),
            (None, None, Some("false" | "False" | "0")) => Ok(false),
            _ => Err(self.wrong(field, "`true` or `false` (or 1 or 0)", describe(&value))),
        }
    }

    /// A column that must be a number, or one as text where there is nothing else, as in CSV.
    pub(super) fn number(&mut self, field: &str) -> Result<f64> {
        let value = self.take(field)?;
        let written = || {
            value.as_str().filter(|_| self.is_text)?.parse().ok().filter(|number: &f64| number.is_finite())
        };
        value.as_f64().or_else(written).ok_or_else(|| self.wrong(field, "a number", describe(&value)))
    }

    /// A column that says what kind of row this is, as text; none if it is missing.
    pub(super) fn label(&self, field: &str) -> Option<String> {
        match self.columns.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        }
    }

    /// A column that must be a list of texts, each a string or a list of messages, none of them empty.
    pub(super) fn texts(&mut self, field: &str) -> Result<Vec<Text>> {
        let values = match self.take(field)? {
            Value::Array(values) => values,
            other => return Err(self.wrong(field, "a list of answers", describe(&other))),
        };
        if values.is_empty() {
            return Err(self.wrong(field, "at least one answer", "an empty list; correct or remove the row"));
        }
        let text = |(index, value)| match value {
            Value::String(text) if text.is_empty() => {
                let found = "nothing: it is empty; correct or remove the row";
                Err(self.wrong(format!("{field}[{index}]"), "text", found))
            }
            Value::String(text) => Ok(Text::Plain(text)),
            Value::Array(turns) => Ok(Text::Messages(self.messages_of(&format!("{field}[{index}]"), turns)?)),
            other => {
                let expected = "a string or a list of messages";
                Err(self.wrong(format!("{field}[{index}]"), expected, describe(&other)))
            }
        };
        values.into_iter().enumerate().map(text).collect()
    }

    /// A column that must be a list of messages.
    pub(super) fn messages(&mut self, field: &str) -> Result<Vec<Message>> {
        match self.take(field)? {
            Value::Array(values) => self.messages_of(field, values),
            other => Err(self.wrong(field, "a list of messages", describe(&other))),
        }
    }

    /// The optional columns `tools` (a list, or JSON text of one) and `chat_template_kwargs` (an object).
    pub(super) fn template_arguments(&mut self) -> Result<TemplateArguments> {
        let tools = match self.columns.remove("tools").unwrap_or_default() {
            Value::Null => Vec::new(),
            Value::Array(tools) => tools,
            Value::String(json) if json.trim().is_empty() => Vec::new(),
            Value::String(json) => serde_json::from_str(&json)
                .map_err(|error| self.wrong("tools", "a list of JSON schemas", format!("text: {error}")))?,
            other => return Err(self.wrong("tools", "a list of JSON schemas", describe(&other))),
        };
        let chat_template_kwargs = match self.columns.remove("chat_template_kwargs").unwrap_or_default() {
            Value::Null => Map::new(),
            Value::Object(variables) => variables,
            other => return Err(self.wrong("chat_template_kwargs", "an object", describe(&other))),
        };
        Ok(TemplateArguments { tools, chat_template_kwargs })
    }

    /// An error about a column of this row.
    pub(super) fn wrong(
        &self,
        field: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> DataError {
        DataError::Column {
            origin: self.origin.clone(),
            field: field.into(),
            expected: expected.into(),
            found: shortened(&found.into()),
        }
    }

    /// The error for a row that lacks a column, listing the ones it has.
    pub(super) fn missing(&self, field: &str, expected: &str) -> DataError {
        // A name of another length is another word, and the comparison takes as long as the product of the two.
        let alike =
            |name: &&String| name.len() <= 2 * field.len() && strsim::jaro_winkler(name, field) > 0.85;
        let near = self.columns.keys().find(alike);
        let hint = near.map(|name| format!(" (is `{name}` meant?)")).unwrap_or_default();
        let found = match self.columns.len() {
            0 => "no columns".to_owned(),
            _ => format!("only {}", some_names(&self.columns)),
        };
        self.wrong(field, expected, found + &hint)
    }

    fn take(&mut self, field: &str) -> Result<Value> {
        if !self.columns.contains_key(field) {
            return Err(self.missing(field, "a column of this name"));
        }
        Ok(self.columns.get_mut(field).map(Value::take).unwrap_or_default())
    }

    fn messages_of(&self, field: &str, values: Vec<Value>) -> Result<Vec<Message>> {
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

    fn message(&self, field: &str, value: Value) -> Result<Message> {
        let Value::Object(mut keys) = value else {
            return Err(self.wrong(field, "a message with `role` and `content`", describe(&value)));
        };
        let role = match keys.remove("role") {
            Some(Value::String(role)) => role,
            Some(other) => return Err(self.wrong(format!("{field}.role"), "a string", describe(&other))),
            None => {
                let found = describe(&Value::Object(keys));
                return Err(self.wrong(field, "a message with `role` and `content`", found));
            }
        };
        let content = match keys.remove("content") {
            Some(Value::String(content)) => Some(content),
            Some(Value::Null) | None => None,
            Some(other) => return Err(self.wrong(format!("{field}.content"), "a string", describe(&other))),
        };
        Ok(Message { role, content, extra: keys })
    }
}

/// A value in the words of an error message.
pub(super) fn describe(value: &Value) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("the boolean `{value}`"),
        Value::Number(value) => format!("the number `{value}`"),
        Value::String(text) if text.chars().count() > SHOWN => {
            format!("the string `{}…`", text.chars().take(SHOWN).collect::<String>())
        }
        Value::String(text) => format!("the string `{text}`"),
        Value::Array(values) => format!("a list of {}", values.len()),
        Value::Object(keys) => format!("an object with the keys {}", some_names(keys)),
    }
}

/// The first of the names, each cut where it is long: a row can have thousands.
fn some_names(columns: &Map<String, Value>) -> String {
    const SHOWN: usize = 12;
    let name = |name: &String| match name.char_indices().nth(40) {
        Some((at, _)) => format!("`{}…`", &name[..at]),
        None => format!("`{name}`"),
    };
    let names: Vec<_> = columns.keys().take(SHOWN).map(name).collect();
    match columns.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
