//! The command line in one spelling: dashes, today's names, and every value joined to its flag.
//!
//! After this step clap sees only `--known-name` and `--known-name=value`, so that its own guesses
//! (is the next word a value?) are never needed: negative numbers are values, and the word after a
//! switch is its value only if it is a truth value. Unknown names end here, with a suggestion.

use std::ffi::{OsStr, OsString};

use super::names::{self, Name, Spelling};
use super::schema::{self, Kind, Schema};
use super::{ArgumentError, invalid};

/// Rewrites the words after the program's name.
pub(super) fn normalise(
    schema: &Schema,
    words: impl Iterator<Item = OsString>,
    notices: &mut Vec<String>,
) -> Result<Vec<OsString>, ArgumentError> {
    let mut words = words.peekable();
    let mut flags = Vec::new();
    while let Some(word) = words.next() {
        if word == "--" {
            flags.push(word);
            flags.extend(words);
            break;
        }
        let Some((name, value)) = split(&word) else {
            flags.push(word);
            continue;
        };
        let arg = match names::resolve(schema, name, Spelling::Flag) {
            Ok(Name { arg, notice }) => {
                notices.extend(notice);
                arg
            }
            Err(_) if name == "help" || name == "version" => {
                flags.push(word);
                continue;
            }
            Err(message) => return Err(invalid(message)),
        };
        let value = match value {
            Some(value) => Some(OsString::from(value)),
            None if schema::takes_one_value(arg) => words.next_if(|next| is_value(arg, next)),
            None => None,
        };
        let long = arg.get_long().expect("resolved by its long name");
        if let Some(value) = value.as_ref().and_then(|value| value.to_str()) {
            names::check_value(long, value).map_err(|message| invalid(format!("--{long}: {message}")))?;
        }
        flags.push(joined(long, value.as_deref()));
    }
    Ok(flags)
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

/// Splits `--name=value`. A word that is not a long flag, or not Unicode, is left to clap.
fn split(word: &OsStr) -> Option<(&str, Option<&str>)> {
    let flag = word.to_str()?.strip_prefix("--")?;
    Some(flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value))))
}

fn is_value(arg: &clap::Arg, next: &OsStr) -> bool {
    if schema::kind(arg) == Kind::Switch {
        return next.to_str().is_some_and(names::is_truth_value);
    }
    !next.to_str().is_some_and(|next| next.starts_with("--")) || arg.is_allow_hyphen_values_set()
}
