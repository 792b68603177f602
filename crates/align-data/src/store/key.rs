//! The key of stored rows: a hash of all that decides them. Of files it is their content: a date says the same of other rows
//! where it was set back, and reading costs a hundredth of what making token ids does. And of the program, as `datasets`
//! hashes the function that made what it keeps: another version may make other token ids.

use std::path::Path;
use std::sync::OnceLock;

use align_files::{hex, size_and_sha256};
use rayon::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::error::Result;
use crate::source::{Part, Source, Split};
use crate::tokenize::TokenizeOptions;
use crate::tokenizer::Tokenizer;

/// The key of these rows; none where nobody could know them again: records of a caller's own, standard input.
///
/// # Errors
/// Files that cannot be read.
pub(crate) fn key<R>(
    (train, held_out): (&Source<R>, &Source<R>),
    made: &Value,
    tokenizer: &Tokenizer,
    options: &TokenizeOptions,
) -> Result<Option<String>> {
    let (Some(train), Some(program)) = (train.split(), program()) else { return Ok(None) };
    let held_out = match held_out.split() {
        None if held_out.is_empty() => Value::Null,
        None => return Ok(None),
        Some(split) => match source(split)? {
            None => return Ok(None),
            Some(held_out) => held_out,
        },
    };
    let Some(train) = source(train)? else { return Ok(None) };
    let templates: Vec<_> = tokenizer.chat_template().into_iter().flat_map(|it| it.sources()).collect();
    // A template may write the date into its text.
    let reads_clock = templates.iter().any(|(_, source)| source.contains("strftime_now"));
    let date = reads_clock.then(|| chrono::Local::now().date_naive().to_string());
    let key = json!({
        "program": program, "made": made, "train": train, "held_out": held_out, "options": options,
        "tokenizer": tokenizer.content_hash(), "templates": templates, "date": date,
    });
    Ok(Some(hex(&Sha256::digest(key.to_string()))))
}

/// Splits by their files: their names, which rows say they come from, what is in them, and how much of it is taken.
fn source<R>(split: &Split<R>) -> Result<Option<Value>> {
    let parts = split.parts.iter().map(part).collect::<Result<Option<Vec<_>>>>()?;
    Ok(parts.map(Value::from))
}

fn part(part: &Part) -> Result<Option<Value>> {
    let Part { dataset, split, files, first } = part;
    if dataset.is_standard_input() {
        return Ok(None);
    }
    let hashes = files.par_iter().map(|file| content(file)).collect::<align_files::Result<Vec<_>>>()?;
    Ok(Some(json!({
        "split": split, "first": first, "config": dataset.config, "columns": dataset.columns, "selected": dataset.selected,
        "max_bad_rows": dataset.max_bad_rows, "files": files.iter().zip(hashes).collect::<Vec<_>>(),
    })))
}

fn content(path: &Path) -> align_files::Result<String> {
    size_and_sha256(path).map(|(_, hash)| hash)
}

/// The program that runs; none where it cannot be read.
fn program() -> Option<&'static str> {
    static PROGRAM: OnceLock<Option<String>> = OnceLock::new();
    PROGRAM.get_or_init(|| content(&std::env::current_exe().ok()?).ok()).as_deref()
}
