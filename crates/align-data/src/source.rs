//! Files to records: JSON lines or a JSON array, plain, gzip or zstd, one file or a directory of splits.
//!
//! `files` finds and unpacks them, `rows` cuts them into JSON objects that know their line, `columns`
//! reads typed columns out of a row, `preference` and `demonstration` make records of them, and
//! `implicit_prompt` splits the prompt off where a row holds only two whole transcripts. Columns that no
//! record needs are ignored; a needed one that is missing, empty or of the wrong type stops the load with
//! `file:line` and the column's name, because guessing there is how bad rows get trained on.

mod columns;
mod demonstration;
mod files;
mod implicit_prompt;
mod preference;
mod rows;

use std::path::Path;

pub use files::has_split;

use crate::error::Result;
use crate::record::{Demonstration, PreferencePair, PromptOnly};
use rows::Row;

/// The preference pairs of a split: `prompt`, `chosen`, `rejected`, or whole transcripts in `chosen` and
/// `rejected` whose shared beginning is the prompt.
///
/// `path` is a file (which is the split, whatever its name) or a directory (see [`has_split`]).
///
/// # Errors
/// Unreadable or missing files, malformed JSON, and rows whose columns do not make a pair.
pub fn load_pairs(path: impl AsRef<Path>, split: &str) -> Result<Vec<PreferencePair>> {
    load(path.as_ref(), split, preference::pair)
}

/// The demonstrations of a split: `prompt` and `completion`, or `messages`, or `text`.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_demonstrations(path: impl AsRef<Path>, split: &str) -> Result<Vec<Demonstration>> {
    load(path.as_ref(), split, demonstration::demonstration)
}

/// The prompts of a split: the `prompt` column of any data set, or the implicit prompt of preference pairs.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_prompts(path: impl AsRef<Path>, split: &str) -> Result<Vec<PromptOnly>> {
    load(path.as_ref(), split, demonstration::prompt)
}

fn load<T>(path: &Path, split: &str, record: impl Fn(Row) -> Result<T>) -> Result<Vec<T>> {
    let mut records = Vec::new();
    for file in files::split_files(path, split)? {
        let text = files::read_text(&file)?;
        for row in rows::parse(&file, &text)? {
            records.push(record(row)?);
        }
    }
    if records.is_empty() {
        return Err(crate::error::DataError::NoRows(path.to_path_buf()));
    }
    tracing::debug!(rows = records.len(), path = %path.display(), split, "loaded");
    Ok(records)
}
