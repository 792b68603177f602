//! A config file of options.

use std::path::PathBuf;

use align_cli::{ArgumentError, Program};
use align_data::DataOptions;

use crate::{Scratch, bounded};

const PROGRAM: Program = Program::new("train-fuzz", "");

/// A TOML file, to checked options.
pub(crate) fn toml(bytes: &[u8], scratch: &Scratch) {
    options(scratch.file("options.toml", bytes));
}

/// The same in YAML.
pub(crate) fn yaml(bytes: &[u8], scratch: &Scratch) {
    options(scratch.file("options.yaml", bytes));
}

fn options(path: PathBuf) {
    let words = ["train-fuzz".into(), "--config".into(), path.into_os_string()];
    match align_cli::parse::<DataOptions>(&PROGRAM, words) {
        Ok(parsed) => {
            if let Err(error) = parsed.options.check() {
                bounded(error);
            }
        }
        Err(ArgumentError::Invalid(message) | ArgumentError::Help(message)) => bounded(message),
        Err(ArgumentError::Several(messages)) => messages.into_iter().for_each(bounded),
    }
}
