//! The two kinds of config files, TOML and YAML, as keys with values and lines.

use align_files::yaml;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{Entry, Value};

/// Characters of a value that are quoted.
const LONGEST: usize = 40;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Yaml,
}

impl Format {
    /// By the extension of a file's name; TOML where it says nothing.
    pub(super) fn of(name: &str) -> Self {
        let extension = std::path::Path::new(name).extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("yaml" | "yml") => Self::Yaml,
            _ => Self::Toml,
        }
    }

    /// A key with its value, or the beginning of that, as the file has it.
    pub(super) fn shown(self, key: &str, value: &Value) -> String {
        let between = if self == Self::Toml { " = " } else { ": " };
        let value = value.shown();
        let shown: String = value.chars().take(LONGEST).collect();
        let more = if shown.len() < value.len() { "…" } else { "" };
        format!("{key}{between}{shown}{more}")
    }

    /// The file's keys, in its order.
    ///
    /// # Errors
    /// The line, if it is known, and what is wrong there.
    pub(super) fn entries(self, text: &str) -> Result<Vec<Entry>, (Option<usize>, String)> {
        match self {
            Self::Toml => toml_entries(text),
            Self::Yaml => yaml_entries(text),
        }
    }
}

fn toml_entries(text: &str) -> Result<Vec<Entry>, (Option<usize>, String)> {
    let line = |offset: usize| text[..offset].matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map(|span| line(span.start));
        (at, format!("not TOML: {}", error.message().replace('\n', ", ")))
    })?;
    // The table is sorted by key; a reader expects complaints from the top of the file.
    let mut keys: Vec<_> = table.get_ref().iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        Entry { line: line(key.span().start), key: name.to_string(), value: of_toml(value.get_ref()) }
    };
    Ok(keys.into_iter().map(entry).collect())
}

fn of_toml(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            let decimal = i128::from_str_radix(number.as_str(), number.radix());
            Value::Integer(decimal.map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()))
        }
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Value::Truth(*flag),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(values) => Value::List(values.iter().map(|value| of_toml(value.get_ref())).collect()),
        DeValue::Table(entries) => {
            let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let name: &std::borrow::Cow<'_, str> = key.get_ref();
                (name.to_string(), of_toml(value.get_ref()))
            };
            Value::Table(entries.iter().map(entry).collect())
        }
    }
}

fn yaml_entries(text: &str) -> Result<Vec<Entry>, (Option<usize>, String)> {
    let node = yaml::parse(text)
        .map_err(|error| (Some(error.line), format!("not YAML that is read: {}", error.reason)))?;
    match node.map(|node| (node.line, node.value)) {
        None => Ok(Vec::new()),
        Some((_, yaml::Value::Table(entries))) => {
            let entry =
                |(line, key, node): (usize, String, yaml::Node)| Entry { line, key, value: of_yaml(node) };
            Ok(entries.into_iter().map(entry).collect())
        }
        Some((line, _)) => Err((Some(line), "expected lines of `key: value`".to_owned())),
    }
}

fn of_yaml(node: yaml::Node) -> Value {
    match node.value {
        yaml::Value::Null => Value::Nothing,
        yaml::Value::Plain(word) => Value::Word(word),
        yaml::Value::Text(text) => Value::Text(text),
        yaml::Value::List(nodes) => Value::List(nodes.into_iter().map(of_yaml).collect()),
        yaml::Value::Table(entries) => {
            Value::Table(entries.into_iter().map(|(_, key, node)| (key, of_yaml(node))).collect())
        }
    }
}
