//! A config file of options.

use align_cli::{ArgumentError, Program};
use align_data::DataOptions;

use crate::{Scratch, bounded};

const PROGRAM: Program = Program::new("train-fuzz", "");

/// A TOML file, to checked options.
pub(crate) fn toml(bytes: &[u8], scratch: &Scratch) {
    let path = scratch.file("options.toml", bytes);
    let words = ["train-fuzz".into(), "--config".into(), path.into_os_string()];
    match align_cli::parse::<DataOptions>(&PROGRAM, words) {
        Ok(parsed) => {
            if let Err(error) = parsed.options.check() {
                bounded(error);
            }
        }
        Err(ArgumentError::Invalid(message) | ArgumentError::Help(message)) => bounded(message),
    }
}
