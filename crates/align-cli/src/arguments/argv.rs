//! The command line in one spelling: dashes, today's names, and every value joined to its flag.
//!
//! After this step clap sees only `--known-name` and `--known-name=value`, so that its own guesses
//! (is the next word a value?) are never needed: negative numbers are values, and the word after a
//! switch is its value only if it is a truth value. Unknown names end here, with a suggestion; those of
//! other programs' options that ask for what is done anyway, with a notice.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::iter::Peekable;
use std::path::PathBuf;

use align_files::Resume;
use align_stage::SETTINGS_FILE;

use super::foreign::Foreign;
use super::message;
use super::names::{self, Spelling};
use super::said::Said;
use super::schema::{self, Kind, Schema};

/// A command line in one spelling.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// What clap is to see.
    pub(super) flags: Vec<OsString>,
    /// clap's ids of the options in it.
    pub(super) given: BTreeSet<String>,
    /// Those of them whose value is not the default.
    changed: BTreeSet<String>,
    /// Options of other programs that are given with idle values, by their names with dashes.
    foreign: BTreeSet<String>,
    /// The value of `--config`.
    pub(super) config: Option<PathBuf>,
    /// The value of `--output-dir`.
    output_dir: Option<PathBuf>,
    /// The value of `--resume-from-checkpoint`.
    resume: Resume,
}

impl Line {
    /// Whether an option of this id in a lower layer has no say: it is given here too, or another that says the same.
    pub(super) fn replaces(&self, id: &str) -> bool {
        self.given.contains(id) || names::rivals(id).any(|rival| self.changed.contains(rival))
    }

    /// Whether a key of a lower layer that there is only elsewhere has no say, since it is given here too, or what it
    /// says is said by another option.
    pub(super) fn overrules(&self, key: &str) -> bool {
        let key = key.replace('_', "-");
        let said_by = match key.as_str() {
            "dataset-mixture" | "dataset-splits" | "dataset-configs" | "dataset-weights" => "dataset_name",
            "chat-template" => "chat_template_path",
            _ => "",
        };
        self.foreign.contains(&key) || self.given.contains(said_by)
    }
}

impl Line {
    /// The options of the run that is to be resumed, as the file that has them.
    pub(super) fn resumed_settings(&self) -> Option<PathBuf> {
        let run = match &self.resume {
            Resume::No => return None,
            Resume::Last => self.output_dir.clone()?,
            Resume::From(run) if run.join(SETTINGS_FILE).is_file() => run.clone(),
            Resume::From(checkpoint) => Resume::run_of(checkpoint),
        };
        Some(run.join(SETTINGS_FILE)).filter(|file| file.is_file())
    }
}

/// Rewrites the words after the program's name. What is wrong is said, all of it.
pub(super) fn normalise(schema: &Schema, words: impl Iterator<Item = OsString>, said: &mut Said) -> Line {
    let mut words = words.peekable();
    let mut line = Line::default();
    while let Some(word) = words.next() {
        if word == "--" {
            line.flags.push(word);
            line.flags.extend(words);
            break;
        }
        match split(&word) {
            Err(problem) => said.problems.push(problem),
            // What is no option; `--help` is clap's.
            Ok(None | Some(("help" | "version", None))) => line.flags.push(word),
            Ok(Some((name, value))) => {
                if let Err(problem) = option(schema, name, value, &mut words, &mut line, said) {
                    said.problems.push(problem);
                }
            }
        }
    }
    said.finish("");
    line
}

/// Takes one option, and from the `words` its value, if it stands there.
fn option(
    schema: &Schema,
    name: &str,
    value: Option<&str>,
    words: &mut Peekable<impl Iterator<Item = OsString>>,
    line: &mut Line,
    said: &mut Said,
) -> Result<(), String> {
    let off = switched_off(schema, name).filter(|_| value.is_none());
    let (name, value) = off.map_or((name, value), |name| (name, Some("false")));
    let found = match names::resolve(schema, name, Spelling::Flag) {
        Ok(found) => found,
        Err(problem) => {
            let option = Foreign::of(name).ok_or(problem)?;
            foreign(option, name, value, words, line, said);
            return Ok(());
        }
    };
    said.notices.extend(found.notice.clone());
    let arg = found.arg;
    let value = match value {
        Some(value) => Some(OsString::from(value)),
        None if schema::takes_one_value(arg) => words.next_if(|next| is_value(arg, next)),
        None => None,
    };
    let value = value.map(|value| match value.to_str() {
        Some(text) => found.value(text).into(),
        None => value,
    });
    line.given.insert(arg.get_id().to_string());
    let is_default =
        |value: &OsStr| arg.get_default_values().iter().any(|default| default.as_os_str() == value);
    if !value.as_deref().is_some_and(is_default) {
        line.changed.insert(arg.get_id().to_string());
    }
    let long = arg.get_long().expect("resolved by its long name");
    if let Some(value) = value.as_ref().and_then(|value| value.to_str()) {
        names::check_value(long, value).map_err(|message| format!("--{long}: {message}"))?;
    }
    match long {
        "config" => line.config = value.as_ref().map(PathBuf::from),
        "output-dir" => line.output_dir = value.as_ref().map(PathBuf::from),
        "resume-from-checkpoint" => {
            line.resume = value.as_ref().map_or(Resume::Last, |value| Resume::parse(value.to_str()));
        }
        _ => {}
    }
    let flag = joined(long, value.as_deref());
    line.flags.push(flag.clone());
    // The values of an option that takes several are words of their own, which come next.
    if value.is_none() && !schema::takes_one_value(arg) {
        return Ok(());
    }
    schema.check_alone(vec![flag]).map_err(|error| message::line(&error, None))
}

/// The switch that `--no-name` turns off, as Python's parsers write it.
fn switched_off<'a>(schema: &Schema, name: &'a str) -> Option<&'a str> {
    let switch = name.strip_prefix("no-").or_else(|| name.strip_prefix("no_"))?;
    let is_switch = schema.option(name).is_none()
        && schema
            .option(switch)
            .is_some_and(|arg| schema::kind(arg) == Kind::Switch && !schema::is_list(arg));
    is_switch.then_some(switch)
}

/// Takes an option that there is only elsewhere, and from the `words` its value.
fn foreign(
    option: Foreign,
    name: &str,
    value: Option<&str>,
    words: &mut Peekable<impl Iterator<Item = OsString>>,
    line: &mut Line,
    said: &mut Said,
) {
    let next = if value.is_none() { words.next_if(|next| option.takes(next)) } else { None };
    let next = next.map(|next| next.to_string_lossy().into_owned());
    let value = value.or(next.as_deref());
    let written = value.map_or(format!("--{name}"), |value| format!("--{name} {value}"));
    said.foreign(option, value, &written, "");
    let dashed = name.replace('_', "-");
    line.foreign.insert(dashed.strip_prefix("no-").unwrap_or(&dashed).to_owned());
}

/// `--name=value` or `--name`.
pub(super) fn joined(long: &str, value: Option<&OsStr>) -> OsString {
    let mut flag = OsString::from(format!("--{long}"));
    if let Some(value) = value {
        flag.push("=");
        flag.push(value);
    }
    flag
}

/// Splits `--name=value`; none for a word that is not a long flag.
fn split(word: &OsStr) -> Result<Option<(&str, Option<&str>)>, String> {
    if !word.to_string_lossy().starts_with("--") {
        return Ok(None);
    }
    let not_unicode = || format!("`{}` is not Unicode; write `--name value`", word.display());
    let flag = &word.to_str().ok_or_else(not_unicode)?["--".len()..];
    Ok(Some(flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)))))
}

fn is_value(arg: &clap::Arg, next: &OsStr) -> bool {
    if schema::kind(arg) == Kind::Switch {
        return next.to_str().and_then(names::truth).is_some();
    }
    !next.to_str().is_some_and(|next| next.starts_with("--")) || arg.is_allow_hyphen_values_set()
}
