//! Text on standard output. A disk that is full behind it is an error, which ends the program with exit code 1; a reader that
//! has gone away (`… | head`) is not, and what that means depends on what is printed.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use serde_json::{Map, Value};

use crate::audience::Audience;
use crate::run::{internal_error, reader_gone};

/// Prints a line for people, if people read: what would command their terminal is shown as an escape. That nobody reads it is
/// no reason to stop training.
///
/// # Errors
/// If it cannot be written although somebody reads.
pub fn print(line: impl Display) -> anyhow::Result<()> {
    match Audience::now() {
        Audience::People => print_coloured(align_text::printable(&line.to_string())),
        Audience::Script | Audience::Program | Audience::Nobody => Ok(()),
    }
}

/// Prints where the result is, if a script reads.
///
/// # Errors
/// As [`print()`].
pub fn print_place(path: &Path) -> anyhow::Result<()> {
    match Audience::now() {
        Audience::Script => print_coloured(path.display()),
        Audience::People | Audience::Program | Audience::Nobody => Ok(()),
    }
}

/// Prints a JSON object with its `event`, if a program reads.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_event(event: &str, fields: &Value) -> anyhow::Result<()> {
    if Audience::now() != Audience::Program {
        return Ok(());
    }
    let mut object = Map::from_iter([("event".to_owned(), event.into())]);
    object
        .extend(fields.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    print_coloured(Value::Object(object))
}

/// Prints text that has colours of its own and in which strangers' texts are [`align_text::printable`] already, whoever reads.
///
/// # Errors
/// As [`print()`].
pub fn print_coloured(line: impl Display) -> anyhow::Result<()> {
    match write(&line) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| unwritable(&error)),
    }
}

/// Prints a row of what the program is there for, which ends where nobody reads it.
///
/// # Errors
/// If it cannot be written. Where nobody reads, the error ends the program without a word and as SIGPIPE would.
pub fn print_row(line: impl Display) -> anyhow::Result<()> {
    match write(&line) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(reader_gone()),
        written => written.map_err(|error| unwritable(&error)),
    }
}

fn write(line: &impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

fn unwritable(error: &io::Error) -> anyhow::Error {
    internal_error(anyhow::anyhow!("standard output: {error}"))
}
