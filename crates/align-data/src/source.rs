//! Files to records: Parquet, JSON lines or a JSON array, CSV, texts; plain, gzip or zstd; one file or a directory of splits.
//!
//! `files` finds them, `slice` says which rows of a split are meant, `open` unpacks them, `stream` reads them row by row:
//! `parquet`, `json` (`rows`), `csv` and `lines` make JSON objects that know their line. `columns` and `messages` read typed
//! columns out of a row. What a row is, `shapes` tells by its columns; `prompt` finds the prompt in it, `reply` puts answers
//! to it, and `implicit_prompt` splits it off where a row holds only whole transcripts. A column that is missing, empty or of
//! the wrong type makes a row unusable, with `file:line` and the column's name: it is left out and counted as far as the data
//! set allows, else it stops the load, because guessing there is how bad rows get trained on. So does a column that
//! would change what the row means and has no place in its shape. `report` says what became of all rows.

mod columns;
mod csv;
mod files;
mod implicit_prompt;
mod json;
mod judged;
mod lines;
mod messages;
mod open;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "source/no_parquet.rs"]
mod parquet;
mod prompt;
mod reply;
mod report;
mod rows;
mod shapes;
pub(crate) mod slice;
mod stream;

pub use files::has_split;
pub use judged::JudgedPairs;
pub(crate) use report::allowed;
pub use report::{LeftOut, Loaded, ReadAs, SourceReport};

use crate::dataset::Dataset;
use crate::error::{DataError, Result};
#[cfg(doc)]
use crate::layout::Layout;
use crate::record::{
    Candidates, Demonstration, PreferencePair, PromptOnly, PromptTask, Ranking, UnpairedPreference,
};
use report::Tally;
use rows::Row;
use shapes::Grouped;
use stream::Rows;

/// The preference pairs of a split: `prompt`, `chosen`, `rejected`, or whole transcripts in `chosen` and
/// `rejected` whose shared beginning is the prompt.
///
/// A data set that is a file is the split, whatever its name; of a directory the files are read that [`Layout`] finds. A part
/// of a split is written as in `datasets`: `train[:10%]`, `train[100:200]`, `train[-50:]`.
///
/// # Errors
/// Unreadable or missing files, malformed ones, splits that do not exist, and rows whose columns do not make a pair.
pub fn load_pairs(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<PreferencePair>> {
    load(&dataset.into(), split, true, shapes::pair)
}

/// The preference pairs of a split, each with its gold answer in the column `reference`.
///
/// The column has the shape of `chosen`: an answer, or a whole transcript where `chosen` is one. Data sets use
/// the name for other things too, so [`load_pairs`] does not look at it.
///
/// # Errors
/// As [`load_pairs`]; and rows without the column.
pub fn load_pairs_with_reference(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<PreferencePair>> {
    load(&dataset.into(), split, true, shapes::pair_with_reference)
}

/// The labelled answers of a split: `prompt`, `completion` and `label`, or the answers of preference pairs as
/// [`unpair_preferences`](crate::unpair_preferences) labels and orders them.
///
/// A label is a boolean, or 1 or 0.
///
/// # Errors
/// As [`load_pairs`]; and a split that mixes the two kinds of rows.
pub fn load_unpaired(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<UnpairedPreference>> {
    let mut answers = shapes::Answers::default();
    let rows = load(&dataset.into(), split, true, |row| answers.add(row))?;
    Ok(rows.map(|_| answers.into_records()))
}

/// The ranked answers of a split: preference pairs as in [`load_pairs`], or `prompt` with a list `completions` of two
/// and more answers, the best first.
///
/// A column `margin` says by how much the chosen answer of a pair should win; all rows have one or none has.
/// `source_column` names the column that says where a row comes from, which may be missing.
///
/// # Errors
/// As [`load_pairs`]; lists of one answer, margins that are no numbers or stand beside longer lists.
pub fn load_rankings(
    dataset: impl Into<Dataset>,
    split: &str,
    source_column: &str,
) -> Result<Loaded<Ranking>> {
    let mut rankings = shapes::Rankings::default();
    load(&dataset.into(), split, true, |row| rankings.ranking(row, source_column))
}

/// The answers of a split, to be scored: `prompt` with `completion`, with a list `completions`, or with `chosen` and
/// `rejected`.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_candidates(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<Candidates>> {
    load(&dataset.into(), split, true, shapes::candidates)
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
    let (rows, columns) = (Rows::of_split(dataset, split)?, dataset.columns.clone());
    Ok(Grouped::new(rows).map(move |row| {
        let mut row = row?;
        columns.rename(&mut row.columns, &mut Vec::new());
        let reference = row.label(&reference_column);
        let candidates = shapes::candidates(&mut row)?;
        row.refuse_meaningful()?;
        Ok((candidates, reference))
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
    load(&dataset.into(), split, false, |row| judging.add(row, subset_column))?;
    judging.finish()
}

/// The demonstrations of a split: `prompt` and `completion`, or `messages`, or `text`.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_demonstrations(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<Demonstration>> {
    load(&dataset.into(), split, false, shapes::demonstration)
}

/// The prompts of a split: the `prompt` column of any data set, or the implicit prompt of preference pairs.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_prompts(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<PromptOnly>> {
    load(&dataset.into(), split, false, shapes::prompt)
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
) -> Result<Loaded<PromptTask>> {
    load(&dataset.into(), split, false, |row| shapes::task(row, reference_column))
}

/// Reads the rows of a split as records; where answers `are_compared`, responses to equal prompts are one row.
fn load<T>(
    dataset: &Dataset,
    split: &str,
    are_compared: bool,
    mut record: impl FnMut(&mut Row) -> Result<T>,
) -> Result<Loaded<T>> {
    let mut seen = Vec::new();
    let mut renamed = |mut row: Row| {
        dataset.columns.rename(&mut row.columns, &mut seen);
        row
    };
    let rows = Rows::of_split(dataset, split)?.map(|row| row.map(&mut renamed));
    let rows: Box<dyn Iterator<Item = Result<Row>>> =
        if are_compared { Box::new(Grouped::new(rows)) } else { Box::new(rows) };
    let (mut records, mut tally) = (Vec::new(), Tally::new(dataset.max_bad_rows));
    for row in rows {
        // Whatever cannot be read stops the load: what follows it is not what it seems.
        let mut row = row?;
        let read = record(&mut row).and_then(|record| row.refuse_meaningful().map(|()| record));
        tally.voted(&row);
        match read {
            Ok(record) => {
                tally.used(&row);
                records.push(record);
            }
            Err(error) => tally.leave_out(row.count, error)?,
        }
    }
    let report = tally.finish(dataset.columns.unseen(&seen))?;
    if records.is_empty() {
        return Err(DataError::NoRows(dataset.path.clone()));
    }
    tracing::debug!(rows = records.len(), path = %dataset.path.display(), split, "loaded");
    Ok(Loaded { records, report })
}
