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
mod part;
mod prompt;
mod reading;
mod reply;
mod report;
mod rows;
mod shapes;
pub(crate) mod slice;
mod stream;
mod unique;

pub use files::has_split;
pub use judged::JudgedPairs;
pub(crate) use part::Part;
pub use reading::Source;
pub(crate) use reading::Split;
pub(crate) use report::allowed;
pub use report::{LeftOut, Loaded, ReadAs, SourceReport, SourceRows};

use crate::dataset::Dataset;
use crate::error::Result;
#[cfg(doc)]
use crate::layout::Layout;
use crate::record::{
    Candidates, Demonstration, PreferencePair, PromptOnly, PromptTask, Ranking, UnpairedPreference,
    are_of_pairs,
};
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
    open_pairs(dataset, split)?.load()
}

/// The pairs of [`load_pairs`], to be read when they are wanted.
///
/// # Errors
/// Files that are not there, and splits that do not exist.
pub fn open_pairs(dataset: impl Into<Dataset>, split: &str) -> Result<Source<PreferencePair>> {
    open(dataset, split, true, || shapes::pair)
}

/// The preference pairs of a split, each with its gold answer in the column `reference`.
///
/// The column has the shape of `chosen`: an answer, or a whole transcript where `chosen` is one. Data sets use
/// the name for other things too, so [`load_pairs`] does not look at it.
///
/// # Errors
/// As [`load_pairs`]; and rows without the column.
pub fn load_pairs_with_reference(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<PreferencePair>> {
    open_pairs_with_reference(dataset, split)?.load()
}

/// The pairs of [`load_pairs_with_reference`], to be read when they are wanted.
///
/// # Errors
/// As [`open_pairs`].
pub fn open_pairs_with_reference(dataset: impl Into<Dataset>, split: &str) -> Result<Source<PreferencePair>> {
    open(dataset, split, true, || shapes::pair_with_reference)
}

/// The labelled answers of a split: `prompt`, `completion` and `label`, or the answers of preference pairs as
/// [`unpair_preferences`](crate::unpair_preferences) labels and orders them.
///
/// A label is a boolean, or 1 or 0.
///
/// # Errors
/// As [`load_pairs`]; and a split that mixes the two kinds of rows.
pub fn load_unpaired(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<UnpairedPreference>> {
    Ok(open_unpaired(dataset, split)?.load()?.map(|records| match are_of_pairs(&records) {
        false => records,
        true => {
            let (desirable, undesirable): (Vec<_>, Vec<_>) = records.into_iter().partition(|row| row.label);
            [desirable, undesirable].concat()
        }
    }))
}

/// The answers of [`load_unpaired`], to be read when they are wanted; those of a pair stand together.
///
/// # Errors
/// As [`open_pairs`].
pub fn open_unpaired(dataset: impl Into<Dataset>, split: &str) -> Result<Source<UnpairedPreference>> {
    Source::open(dataset.into(), split, true, || {
        let mut answers = shapes::Answers::default();
        Box::new(move |row, records| answers.add(row, records))
    })
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
    open_rankings(dataset, split, source_column)?.load()
}

/// The rankings of [`load_rankings`], to be read when they are wanted.
///
/// # Errors
/// As [`open_pairs`].
pub fn open_rankings(
    dataset: impl Into<Dataset>,
    split: &str,
    source_column: &str,
) -> Result<Source<Ranking>> {
    let source_column = source_column.to_owned();
    open(dataset, split, true, move || {
        let (mut rankings, source_column) = (shapes::Rankings::default(), source_column.clone());
        move |row: &mut Row| rankings.ranking(row, &source_column)
    })
}

/// The answers of a split, to be scored: `prompt` with `completion`, with a list `completions`, or with `chosen` and
/// `rejected`.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_candidates(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<Candidates>> {
    open(dataset, split, true, || shapes::candidates)?.load()
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
    let take = |row: &mut Row| judging.add(row, subset_column).and_then(|()| row.refuse_meaningful());
    reading::each_row(&[Part::find(dataset.into(), split)?], false, take)?;
    judging.finish()
}

/// The demonstrations of a split: `prompt` and `completion`, or `messages`, or `text`.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_demonstrations(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<Demonstration>> {
    open_demonstrations(dataset, split)?.load()
}

/// The demonstrations of [`load_demonstrations`], to be read when they are wanted.
///
/// # Errors
/// As [`open_pairs`].
pub fn open_demonstrations(dataset: impl Into<Dataset>, split: &str) -> Result<Source<Demonstration>> {
    open(dataset, split, false, || shapes::demonstration)
}

/// The prompts of a split: the `prompt` column of any data set, or the implicit prompt of preference pairs.
///
/// # Errors
/// As [`load_pairs`].
pub fn load_prompts(dataset: impl Into<Dataset>, split: &str) -> Result<Loaded<PromptOnly>> {
    open(dataset, split, false, || shapes::prompt)?.load()
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
    open_tasks(dataset, split, reference_column)?.load()
}

/// The prompts of [`load_tasks`], to be read when they are wanted.
///
/// # Errors
/// As [`open_pairs`].
pub fn open_tasks(
    dataset: impl Into<Dataset>,
    split: &str,
    reference_column: &str,
) -> Result<Source<PromptTask>> {
    let reference_column = reference_column.to_owned();
    open(dataset, split, false, move || {
        let reference_column = reference_column.clone();
        move |row: &mut Row| shapes::task(row, &reference_column)
    })
}

/// The source of a split whose rows are a record each, which a function of a new `to_record` makes; where answers
/// `are_compared`, responses to equal prompts are one row.
fn open<R, F: FnMut(&mut Row) -> Result<R> + 'static>(
    dataset: impl Into<Dataset>,
    split: &str,
    are_compared: bool,
    to_record: impl Fn() -> F + Send + Sync + 'static,
) -> Result<Source<R>> {
    Source::open(dataset.into(), split, are_compared, move || {
        let mut to_record = to_record();
        Box::new(move |row, records| {
            records.push(to_record(row)?);
            Ok(())
        })
    })
}
