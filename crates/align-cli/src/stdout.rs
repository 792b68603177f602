//! Text on standard output. A disk that is full behind it is an error, which ends the program with exit code 1; a reader that
//! has gone away (`… | head`) is not, and what that means depends on what is printed.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

use crate::run::{internal_error, reader_gone};

/// Prints a line for people: what would command their terminal is shown as an escape. That nobody reads it is no reason to
/// stop training.
///
/// # Errors
/// If it cannot be written although somebody reads.
pub fn print(line: impl Display) -> anyhow::Result<()> {
    print_coloured(align_text::printable(&line.to_string()))
}

/// As [`print()`], for text that has colours of its own and in which strangers' texts are [`align_text::printable`] already.
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
