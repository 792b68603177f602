//! A config file as a list of flags, each with the line it comes from.
//!
//! Keys are flat, in snake_case or kebab-case; a table is the value of an option that takes an object, and no group of keys,
//! which would add a second spelling for every option. Relative paths in a file mean what they would mean on the command line:
//! relative to the current directory. Every value is checked here on its own, so that an error names the file and the line.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::argv::{self, Line};
use super::files::Format;
use super::foreign::Foreign;
use super::message;
use super::names::{self, Name, Spelling};
use super::said::Said;
use super::schema::Schema;
use super::value::{Entry, Value};

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

/// Reads a file's `text`; `origin` names it in errors. What the command `line` says itself is not looked at. What is wrong is
/// said, all of it.
pub(super) fn read(schema: &Schema, origin: &str, text: &str, line: &Line, said: &mut Said) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let format = Format::of(origin);
    let entries = format.entries(text).unwrap_or_else(|(line, problem)| {
        let at = line.map_or(String::new(), |line| format!(":{line}"));
        said.problems.push(format!("{origin}{at}: {problem}"));
        Vec::new()
    });
    let mut seen: Vec<String> = Vec::new();
    for entry in &entries {
        if said.has_enough() {
            break;
        }
        let at = format!("{origin}:{}", entry.line);
        let mut notices = Vec::new();
        match setting(schema, entry, line, &mut notices) {
            Err(Wrong::Foreign(option)) => {
                let value = entry.value.shown();
                said.foreign(option, Some(&value), &format.shown(&entry.key, &entry.value), &at);
            }
            Err(Wrong::Said(problem)) => said.problems.push(format!("{at}: {problem}")),
            Ok((id, _)) if seen.contains(&id) => {
                said.problems.push(format!("{at}: `{}` is set a second time; keep one", entry.key));
            }
            Ok((id, setting)) => {
                said.notices.extend(notices.into_iter().map(|notice| format!("{at}: {notice}")));
                seen.push(id);
                settings.extend(setting);
            }
        }
    }
    said.finish(origin);
    settings
}

/// Why a key gives no setting.
enum Wrong {
    /// It is an option that there is only elsewhere.
    Foreign(Foreign),
    /// It is wrong.
    Said(String),
}

impl From<String> for Wrong {
    fn from(problem: String) -> Self {
        Self::Said(problem)
    }
}

/// The id of the option that a key means, and the setting, if the file has a say in it.
fn setting(
    schema: &Schema,
    entry: &Entry,
    line: &Line,
    notices: &mut Vec<String>,
) -> Result<(String, Option<Setting>), Wrong> {
    let Entry { key, value, .. } = entry;
    let name = match names::resolve(schema, key, Spelling::Key) {
        Ok(name) => name,
        Err(problem) => match (Foreign::of(key), value) {
            // An empty key says nothing, and a flag says it otherwise.
            (Some(_), Value::Nothing) => return Ok((key.clone(), None)),
            (Some(_), _) if line.overrules(key) => return Ok((key.clone(), None)),
            (Some(option), _) => return Err(Wrong::Foreign(option)),
            (None, Value::Table(_)) => {
                let problem = format!("`{key}` is a table; keys are flat, write its keys at the top level");
                return Err(problem.into());
            }
            (None, _) => return Err(problem.into()),
        },
    };
    let Name { arg, .. } = name;
    let (id, long) = (arg.get_id().to_string(), arg.get_long().unwrap_or_default());
    if long == "config" {
        return Err("a config file cannot name another; remove `config`".to_owned().into());
    }
    if line.replaces(&id) {
        return Ok((id, None));
    }
    notices.extend(name.notice.clone());
    let values = match value {
        Value::Nothing => match names::nothing(arg, key)? {
            Some((word, notice)) => {
                notices.push(notice);
                vec![word]
            }
            None => return Ok((id, None)),
        },
        Value::Word(word) | Value::Text(word) if name.value(word) != word => {
            vec![name.value(word).to_owned()]
        }
        value => value.words(arg).map_err(|found| format!("`{key}` {found}"))?,
    };
    for value in &values {
        names::check_value(long, value).map_err(|problem| format!("`{key}`: {problem}"))?;
    }
    let setting = Setting { id: id.clone(), long: long.to_owned(), values };
    schema.check_alone(setting.flags().collect()).map_err(|error| message::line(&error, Some(key)))?;
    Ok((id, Some(setting)))
}
