//! A TOML file as a list of flags, each with the line it comes from.
//!
//! Keys are flat, in snake_case or kebab-case; a table is refused, because a group would add a second
//! spelling for every option. Relative paths in a file mean what they would mean on the command line:
//! relative to the current directory. Every value is checked here on its own, so that an error names
//! the file and the line.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::idle::IdleOption;
use super::names::{self, Name, Spelling};
use super::schema::{self, Kind, Schema};
use super::{ArgumentError, argv, invalid, message};

/// One key of a file, as flags.
#[derive(Debug)]
pub(super) struct Setting {
    /// clap's id of the option.
    pub(super) id: String,
    long: String,
    values: Vec<String>,
}

impl Setting {
    /// The option's name, as errors and files have it.
    pub(super) fn name(&self) -> String {
        self.long.replace('-', "_")
    }

    /// Makes a value that names a file below `prefix` name the one in `directory`.
    pub(super) fn move_files(&mut self, prefix: &str, directory: &Path) {
        for value in &mut self.values {
            if let Some(file) = value.strip_prefix(prefix) {
                *value = directory.join(file).to_string_lossy().into_owned();
            }
        }
    }

    /// `--long=value`, once per value.
    pub(super) fn flags(&self) -> impl Iterator<Item = OsString> {
        self.values.iter().map(|value| argv::joined(&self.long, Some(OsStr::new(value))))
    }
}

/// Reads TOML `text`; `origin` names it in errors.
pub(super) fn read(
    schema: &Schema,
    origin: &str,
    text: &str,
    notices: &mut Vec<String>,
) -> Result<Vec<Setting>, ArgumentError> {
    let line = |offset: usize| text[..offset].matches('\n').count() + 1;
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(String::new(), |span| format!(":{}", line(span.start)));
        invalid(format!("{origin}{at}: not TOML: {}", error.message().replace('\n', ", ")))
    })?;
    // The table is sorted by key; a reader expects complaints from the top of the file.
    let mut keys: Vec<_> = table.get_ref().iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);

    let mut settings: Vec<Setting> = Vec::new();
    for (key, value) in keys {
        let at = format!("{origin}:{}", line(key.span().start));
        let Some(setting) = setting(schema, &at, key.get_ref(), value, notices)? else { continue };
        if settings.iter().any(|earlier| earlier.id == setting.id) {
            return Err(invalid(format!("{at}: `{}` is set a second time; keep one", key.get_ref())));
        }
        settings.push(setting);
    }
    Ok(settings)
}

/// Options that take an object, which a file may hold as a table.
const OBJECTS: [&str; 2] = ["lr_scheduler_kwargs", "optim_args"];

fn setting(
    schema: &Schema,
    at: &str,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    notices: &mut Vec<String>,
) -> Result<Option<Setting>, ArgumentError> {
    let is_object = OBJECTS.contains(&key.replace('-', "_").as_str());
    if value.get_ref().is_table() && !is_object {
        return Err(invalid(format!(
            "{at}: `{key}` is a table; keys are flat, write its keys at the top level"
        )));
    }
    let Name { arg, notice } = match names::resolve(schema, key, Spelling::Key) {
        Ok(name) => name,
        Err(message) => {
            let notice = idle(key, value.get_ref()).ok_or_else(|| invalid(format!("{at}: {message}")))?;
            notices.push(format!("{at}: {notice}"));
            return Ok(None);
        }
    };
    notices.extend(notice.map(|notice| format!("{at}: {notice}")));
    let long = arg.get_long().expect("resolved by its long name");
    if long == "config" {
        return Err(invalid(format!("{at}: a config file cannot name another; remove `config`")));
    }
    let values = words(arg, value.get_ref()).map_err(|found| invalid(format!("{at}: `{key}` {found}")))?;
    for value in &values {
        names::check_value(long, value).map_err(|message| invalid(format!("{at}: `{key}`: {message}")))?;
    }
    let setting = Setting { id: arg.get_id().to_string(), long: long.to_owned(), values };
    schema
        .check_alone(setting.flags().collect())
        .map_err(|error| invalid(format!("{at}: {}", message::line(&error, Some(key)))))?;
    Ok(Some(setting))
}

/// The notice to give if an unknown key asks for what is done anyway.
fn idle(key: &str, value: &DeValue<'_>) -> Option<String> {
    let value = match value {
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        _ => return None,
    };
    IdleOption::of(key)?.notice(Some(&value), &format!("{key} = {value}"))
}

/// A value as the words that would follow the flag. The error continues "`key` …".
fn words(arg: &clap::Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    if let Some(table) = value.as_table() {
        return Ok(vec![object(table)?]);
    }
    let Some(array) = value.as_array() else {
        return Ok(vec![word(arg, value)?]);
    };
    if !schema::is_list(arg) {
        return Err("takes one value, found a list".into());
    }
    if array.is_empty() {
        return Err("is an empty list; remove the key to get the default".into());
    }
    let words = array.iter().map(|item| word(arg, item.get_ref())).collect::<Result<Vec<_>, _>>()?;
    match (arg.get_value_delimiter(), words.iter().find(|word| word.contains(','))) {
        (Some(','), Some(word)) => Err(format!("has an item with a comma, `{word}`, which separates items")),
        _ => Ok(words),
    }
}

/// A table as the JSON object that the option takes on a command line.
fn object(table: &DeTable<'_>) -> Result<String, String> {
    let field = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        let value = match value.get_ref() {
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Integer(number) => number.as_str().to_owned(),
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::String(text) => format!("{text:?}"),
            other => return Err(format!("has `{key}`, which is {}; expected a value", described(other))),
        };
        Ok(format!("{key:?}: {value}"))
    };
    Ok(format!("{{{}}}", table.iter().map(field).collect::<Result<Vec<_>, _>>()?.join(", ")))
}

fn word(arg: &clap::Arg, value: &DeValue<'_>) -> Result<String, String> {
    let expected = match schema::kind(arg) {
        Kind::Switch => "true or false",
        Kind::Integer => "a whole number",
        Kind::Number => "a number",
        Kind::Text => "a text in quotes",
        Kind::Parsed => "a single value",
    };
    match (value, schema::kind(arg)) {
        (DeValue::Boolean(flag), Kind::Switch | Kind::Parsed) => Ok(flag.to_string()),
        (DeValue::String(text), Kind::Text | Kind::Parsed) => Ok(text.to_string()),
        (DeValue::Integer(number), Kind::Integer | Kind::Number | Kind::Parsed) => {
            i64::from_str_radix(number.as_str(), number.radix())
                .map(|number| number.to_string())
                .map_err(|error| format!("is out of range: {error}"))
        }
        (DeValue::Float(number), Kind::Number | Kind::Parsed) => Ok(number.as_str().to_owned()),
        (other, _) => Err(format!("expects {expected}, found {}", described(other))),
    }
}

fn described(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(flag) => format!("{flag}"),
        other => format!("a value of type {}", other.type_str()),
    }
}
