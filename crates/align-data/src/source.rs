//! Files to records: Parquet, JSON lines or a JSON array, CSV, texts; plain, gzip or zstd; one file or a directory of splits.
//!
//! `files` finds them, `slice` says which rows of a split are meant, `open` unpacks them, `stream` reads them row by row:
//! `parquet`, `json` (`rows`), `csv` and `lines` make JSON objects that know their line. `columns` reads typed columns out of a row, `preference`, `unpaired`, `candidates` and `demonstration` make records of them, and
//! `implicit_prompt` splits the prompt off where a row holds only two whole transcripts. Columns that no
//! record needs are ignored; a needed one that is missing, empty or of the wrong type stops the load with
//! `file:line` and the column's name, because guessing there is how bad rows get trained on.

mod candidates;
mod columns;
mod csv;
mod demonstration;
mod files;
mod implicit_prompt;
mod json;
mod judged;
mod lines;
mod open;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "source/no_parquet.rs"]
mod parquet;
mod preference;
mod rows;
pub(crate) mod slice;
mod stream;
mod unpaired;

pub use files::has_split;
pub use judged::{JudgedPairs, LeftOut};

use crate::dataset::Dataset;
use crate::error::{DataError, Result};
#[cfg(doc)]
use crate::layout::Layout;
use crate::record::{
    Candidates, Demonstration, PreferencePair, PromptOnly, PromptTask, Ranking, UnpairedPreference,
};
use rows::Row;
use stream::Rows;

/// The preference pairs of a split: `prompt`, `chosen`, `rejected`, or whole transcripts in `chosen` and
/// `rejected` whose shared beginning is the prompt.
///
/// A data set that is a file is the split, whatever its name; of a directory the files are read that [`Layout`] finds. A part
/// of a split is written as in `datasets`: `train[:10%]`, `train[100:200]`, `train[-50:]`.
///
/// # Errors
/// Unreadable or missing files, malformed ones, splits that do not exist, and rows whose columns do not make a pair.
pub fn load_pairs(dataset: impl Into<Dataset>, split: &str) -> Result<Vec<PreferencePair>> {
    load(&dataset.into(), split, preference::pair)
}

/// The preference pairs of a split, each with its gold answer in the column `reference`.
///
/// The column has the shape of `chosen`: an answer, or a whole transcript where `chosen` is one. Data sets use
/// the name for other things too, so [`load_pairs`] does not look at it.
///
/// # Errors
/// As [`load_pairs`]; and rows without the column.
pub fn load_pairs_with_reference(dataset: impl Into<Dataset>, split: &str) -> Result<Vec<PreferencePair>> {
    load(&dataset.into(), split, preference::pair_with_reference)
}

/// The labelled answers of a split: `prompt`, `completion` and `label`, or the answers of preference pairs as
/// [`unpair_preferences`](crate::unpair_preferences) labels and orders them.
///
/// A label is a boolean, or 1 or 0.
///
/// # Errors
/// As [`load_pairs`]; and a split that mixes the two kinds of rows.
pub fn load_unpaired(dataset: impl Into<Dataset>, split: &str) -> Result<Vec<UnpairedPreference>> {
    let mut answers = unpaired::Answers::default();
    load(&dataset.into(), split, |row| answers.add(row))?;
    Ok(answers.into_records())
}

/// The ranked answers of a split: preference pairs as in [`load_pairs`], or `prompt` with a list `completions` of two
/// and more answers, the best first.
///
/// A column `margin` says by how much the chosen answer of a pair should win; all rows have one or none has.
/// `source_column` names the column that says where a row comes from, which may be missing.
///
/// # Errors
/// As [`load_pairs`]; lists of one answer, margins that are no numbers or stand beside longer lists.
pub fn load_rankings(dataset: impl Into<Dataset>, split: &str, source_column: &str) -> Result<Vec<Ranking>> {
    let mut rankings = candidates::Rankings::default();
    load(&dataset.into(), split, |row| rankings.ranking(row, source_column))
}

/// The answers of a split, to be scored: `prompt` with `completion`, with a list `completions`, or with `chosen` and
/// `rejected`.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_candidates(dataset: impl Into<Dataset>, split: &str) -> Result<Vec<Candidates>> {
    load(&dataset.into(), split, candidates::candidates)
}

/// Rows as [`load_candidates`] has them, one by one, however many there are: a row is read when it is asked for.
/// `-` is standard input.
///
/// With each row goes the right answer, which rewards that compare need: its column `reference_column` as text, if it
/// has one.
///
/// # Errors
/// As [`load_candidates`], each where it comes up; a split without rows is not an error here.
pub fn stream_candidates(
    dataset: &Dataset,
    split: &str,
    reference_column: &str,
) -> Result<impl Iterator<Item = Result<(Candidates, Option<String>)>> + use<>> {
    let reference_column = reference_column.to_owned();
    let rows = Rows::of_split(dataset, split)?;
    Ok(rows.map(move |row| {
        let row = row?;
        let reference = row.label(&reference_column);
        Ok((candidates::candidates(row)?, reference))
    }))
}

/// The judged pairs of a split: as in [`load_pairs`] (the judge chose `chosen`), or two answers (`response1` and
/// `response2`, `output_1` and `output_2`, …) to `prompt`, or to `instruction` and `input`, with votes (`annotator1`, …,
/// `preference`, `winner`: 1 for the first answer, 2 for the second, 0 for a tie).
///
/// Rows whose columns make no pair are left out and counted. `subset_column` names the column that says which part of
/// the set a row belongs to, which may be missing.
///
/// # Errors
/// As [`load_pairs`] for files that cannot be read; a split without a usable row.
pub fn load_judged_pairs(
    dataset: impl Into<Dataset>,
    split: &str,
    subset_column: &str,
) -> Result<JudgedPairs> {
    let mut judging = judged::Judging::default();
    load(&dataset.into(), split, |row| judging.add(row, subset_column))?;
    judging.finish()
}

/// The demonstrations of a split: `prompt` and `completion`, or `messages`, or `text`.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_demonstrations(dataset: impl Into<Dataset>, split: &str) -> Result<Vec<Demonstration>> {
    load(&dataset.into(), split, demonstration::demonstration)
}

/// The prompts of a split: the `prompt` column of any data set, or the implicit prompt of preference pairs.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_prompts(dataset: impl Into<Dataset>, split: &str) -> Result<Vec<PromptOnly>> {
    load(&dataset.into(), split, demonstration::prompt)
}

/// The prompts of a split as in [`load_prompts`], with the right answers in the column `reference_column`, which may be
/// missing or empty.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_tasks(
    dataset: impl Into<Dataset>,
    split: &str,
    reference_column: &str,
) -> Result<Vec<PromptTask>> {
    load(&dataset.into(), split, |row| demonstration::task(row, reference_column))
}

fn load<T>(dataset: &Dataset, split: &str, mut record: impl FnMut(Row) -> Result<T>) -> Result<Vec<T>> {
    let mut records = Vec::new();
    for row in Rows::of_split(dataset, split)? {
        records.push(record(row?)?);
    }
    if records.is_empty() {
        return Err(DataError::NoRows(dataset.path.clone()));
    }
    tracing::debug!(rows = records.len(), path = %dataset.path.display(), split, "loaded");
    Ok(records)
}
