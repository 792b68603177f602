//! Typed columns out of a row, with errors that say what was expected and what is there.

use serde_json::{Map, Value};

use super::rows::Row;
use crate::error::{DataError, Result};
use crate::guard::shortened;
use crate::record::{TemplateArguments, Text};

impl Row {
    /// Whether the column exists and is not null; exporters write null for "no such column in this row".
    pub(super) fn has(&self, field: &str) -> bool {
        self.columns.get(field).is_some_and(|value| !value.is_null())
    }

    /// Whether the column holds a list.
    pub(super) fn has_list(&self, field: &str) -> bool {
        self.columns.get(field).is_some_and(Value::is_array)
    }

    /// A column that must be a string, a list of messages or one message; it may be empty text.
    pub(super) fn text(&mut self, field: &str) -> Result<Text> {
        let value = self.take(field)?;
        self.text_of(field, value)
    }

    /// A value that must be what [`Row::text`] takes.
    pub(super) fn text_of(&self, field: &str, value: Value) -> Result<Text> {
        match value {
            Value::String(text) => Ok(Text::Plain(text)),
            Value::Array(values) => Ok(Text::Messages(self.messages_of(field, values)?)),
            message @ Value::Object(_) => Ok(Text::Messages(vec![self.message(field, message)?])),
            other => Err(self.wrong(field, "a string or a list of messages", describe(&other))),
        }
    }

    /// Like [`Row::text`], but empty text is an error: nothing can be learned from it.
    pub(super) fn non_empty_text(&mut self, field: &str) -> Result<Text> {
        let text = self.text(field)?;
        self.refuse_empty(field, &text)?;
        Ok(text)
    }

    /// Refuses a text that is empty: nothing can be learned from it.
    pub(super) fn refuse_empty(&self, field: &str, text: &Text) -> Result<()> {
        let empty = match text {
            Text::Plain(text) => text.is_empty(),
            Text::Messages(messages) => messages.iter().all(|message| {
                message.content.as_deref().unwrap_or_default().is_empty() && message.extra.is_empty()
            }),
        };
        match empty {
            true => Err(self.wrong(field, "text", "nothing: it is empty; correct or remove the row")),
            false => Ok(()),
        }
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
    pub(super) fn label(&mut self, field: &str) -> Option<String> {
        match self.take_optional(field)? {
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }

    /// A column of text that may be missing, or empty, which is the same.
    pub(super) fn optional_string(&mut self, field: &str) -> Result<Option<String>> {
        match self.take_optional(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
            Some(other) => Err(self.wrong(field, "a string", describe(&other))),
        }
    }

    /// A column that must be a list of something.
    pub(super) fn list(&mut self, field: &str) -> Result<Vec<Value>> {
        match self.take(field)? {
            Value::Array(values) if values.is_empty() => {
                Err(self.wrong(field, "at least one answer", "an empty list; correct or remove the row"))
            }
            Value::Array(values) => Ok(values),
            other => Err(self.wrong(field, "a list of answers", describe(&other))),
        }
    }

    /// A column that must be a list of texts, each a string or a list of messages, none of them empty.
    pub(super) fn texts(&mut self, field: &str) -> Result<Vec<(String, Text)>> {
        let values = self.list(field)?;
        let text = |(index, value)| {
            let field = format!("{field}[{index}]");
            let text = self.text_of(&field, value)?;
            self.refuse_empty(&field, &text)?;
            Ok((field, text))
        };
        values.into_iter().enumerate().map(text).collect()
    }

    /// The optional columns `tools` (a list, or JSON text of one) and `chat_template_kwargs` (an object), which only
    /// messages have a use for.
    pub(super) fn template_arguments(&mut self, is_for: &Text) -> Result<TemplateArguments> {
        if matches!(is_for, Text::Plain(_)) {
            // Where they are not empty, they are refused as any column that would change the meaning.
            return Ok(TemplateArguments::default());
        }
        let tools = match self.take_optional("tools").unwrap_or_default() {
            Value::Null => Vec::new(),
            Value::Array(tools) => tools,
            Value::String(json) if json.trim().is_empty() => Vec::new(),
            Value::String(json) => serde_json::from_str(&json)
                .map_err(|error| self.wrong("tools", "a list of JSON schemas", format!("text: {error}")))?,
            other => return Err(self.wrong("tools", "a list of JSON schemas", describe(&other))),
        };
        let chat_template_kwargs = match self.take_optional("chat_template_kwargs").unwrap_or_default() {
            Value::Null => Map::new(),
            Value::Object(variables) => variables,
            other => return Err(self.wrong("chat_template_kwargs", "an object", describe(&other))),
        };
        let tools = tools.into_iter().map(without_nulls).collect();
        Ok(TemplateArguments { tools, chat_template_kwargs })
    }

    /// Columns that hold something and were not taken.
    pub(super) fn unused(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name)
    }

    /// Refuses columns that were not taken although they would change what the row means.
    pub(super) fn refuse_meaningful(&self) -> Result<()> {
        let is_empty = |value: &Value| match value {
            Value::Null => true,
            Value::String(text) => text.trim().is_empty(),
            Value::Array(values) => values.is_empty(),
            Value::Object(values) => values.is_empty(),
            _ => false,
        };
        let mut columns = MEANINGFUL.iter().filter_map(|name| Some((name, self.columns.get(*name)?)));
        match columns.find(|(_, value)| !is_empty(value)) {
            None => Ok(()),
            Some((name, value)) => {
                let found = format!(
                    "{}; rows of this shape are read without it, and would mean something else",
                    describe(value)
                );
                Err(self.wrong(*name, "nothing", found))
            }
        }
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

    /// The value of a column that may be missing; none if it is, or is null.
    pub(super) fn take_optional(&mut self, field: &str) -> Option<Value> {
        if self.has(field) { self.take(field).ok() } else { None }
    }

    /// The value of a column, which then counts as used.
    pub(super) fn take(&mut self, field: &str) -> Result<Value> {
        let Some(value) = self.columns.get_mut(field) else {
            return Err(self.missing(field, "a column of this name"));
        };
        if !value.is_null() {
            self.used.push(field.to_owned());
        }
        Ok(value.take())
    }
}

/// Columns that change what a row means, whatever else it holds.
const MEANINGFUL: [&str; 11] = [
    "system",
    "system_prompt",
    "history",
    "tools",
    "chat_template_kwargs",
    "images",
    "image",
    "videos",
    "video",
    "audios",
    "audio",
];

/// A value without keys that are null: tables have all keys in all rows.
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(keys) => {
            let keys = keys.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(keys.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(without_nulls).collect()),
        other => other,
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
