//! Records that are read when they are wanted, a chunk at a time: by a thread of their own, ahead of whoever takes them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use serde_json::Value;

use super::part::{Columns, Part};
use super::report::{Loaded, SourceReport, Tally};
use super::rows::Row;
use super::shapes::Grouped;
use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::mixture::option_error;

/// A chunk ends with the row that makes it so many rows, or texts of so many bytes.
const ROWS: usize = 4096;
const BYTES: usize = 8 << 20;

/// A row to its records, in the order in which they come.
pub(super) type ToRecords<R> = Box<dyn FnMut(&mut Row, &mut Vec<R>) -> Result<()>>;

/// The records of a split: there already, or in files that are read when the records are taken.
#[derive(Clone, Debug)]
pub struct Source<R>(Kind<R>);

#[derive(Clone, Debug)]
enum Kind<R> {
    Loaded(Loaded<R>),
    Files(Split<R>),
}

/// Splits of data sets that were found, one after the other, and how their rows become records.
#[derive(Clone)]
pub(crate) struct Split<R> {
    /// Whose rows they are, in their order.
    pub(crate) parts: Vec<Part>,
    are_compared: bool,
    to_records: Arc<dyn Fn() -> ToRecords<R> + Send + Sync>,
}

/// Some records of a source, in their order.
pub(crate) struct Chunk<'a, R> {
    pub(crate) records: &'a [R],
    /// With the last chunk, how all rows were read.
    pub(crate) report: Option<&'a SourceReport>,
}

impl<R> Source<R> {
    /// Finds the files of a split. Where answers `are_compared`, responses to equal prompts are one row.
    pub(super) fn open(
        dataset: Dataset,
        split: &str,
        are_compared: bool,
        to_records: impl Fn() -> ToRecords<R> + Send + Sync + 'static,
    ) -> Result<Self> {
        let (parts, to_records) = (vec![Part::find(dataset, split)?], Arc::new(to_records));
        Ok(Self(Kind::Files(Split { parts, are_compared, to_records })))
    }

    /// The records of several sources, one after the other, as if they were one. All were opened by the same function.
    ///
    /// # Errors
    /// Records in files beside such as are there already.
    pub(crate) fn concatenated(sources: Vec<Self>) -> Result<Self> {
        let mut sources = sources.into_iter();
        let Some(mut all) = sources.next() else { return Ok(Self::default()) };
        for source in sources {
            match (&mut all.0, source.0) {
                (Kind::Files(all), Kind::Files(more)) => all.parts.extend(more.parts),
                (Kind::Loaded(all), Kind::Loaded(more)) => all.records.extend(more.records),
                _ => {
                    let rule =
                        "expected data sets that are all read when their rows are wanted, or none of them";
                    return option_error("datasets", rule.to_owned(), "both".to_owned());
                }
            }
        }
        Ok(all)
    }

    /// How many rows it has. Files that are not Parquet are read from end to end for it.
    pub(crate) fn count(&self) -> Result<usize> {
        match &self.0 {
            Kind::Loaded(loaded) => Ok(loaded.len()),
            Kind::Files(split) => split.parts.iter().map(Part::count).sum(),
        }
    }

    /// The same with so many rows of it alone, from the first on.
    pub(crate) fn first(mut self, rows: usize) -> Self {
        match &mut self.0 {
            Kind::Loaded(loaded) => loaded.records.truncate(rows),
            Kind::Files(Split { parts, .. }) => parts.iter_mut().for_each(|part| part.first = Some(rows)),
        }
        self
    }

    /// Whether it is known to have no records. One of files has some, or reading it is an error.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Kind::Loaded(loaded) if loaded.is_empty())
    }

    /// The split that is read, where the records are not there already.
    pub(crate) fn split(&self) -> Option<&Split<R>> {
        match &self.0 {
            Kind::Loaded(_) => None,
            Kind::Files(split) => Some(split),
        }
    }

    /// Finds out whether there is a first row, before work is put into another source. Standard input is left alone.
    pub(crate) fn check_beginning(&self) -> Result<()> {
        let Kind::Files(Split { parts, .. }) = &self.0 else { return Ok(()) };
        let mut parts = parts.iter().filter(|part| !part.dataset.is_standard_input());
        parts.try_for_each(|part| part.rows()?.next().map_or(Ok(()), |row| row.map(drop)))
    }
}

impl<R: 'static> Source<R> {
    /// The same source with other records, made of these: of all at once, or of those of each row.
    #[must_use]
    pub fn map(self, make: impl Fn(Vec<R>) -> Vec<R> + Send + Sync + 'static) -> Self {
        let Split { parts, are_compared, to_records } = match self.0 {
            Kind::Loaded(loaded) => return loaded.map(make).into(),
            Kind::Files(split) => split,
        };
        let make = Arc::new(make);
        let to_records = move || -> ToRecords<R> {
            let (make, mut to_records) = (make.clone(), to_records());
            Box::new(move |row, records| {
                let mut own = Vec::new();
                to_records(row, &mut own)?;
                records.extend(make(own));
                Ok(())
            })
        };
        let to_records = Arc::new(to_records);
        Self(Kind::Files(Split { parts, are_compared, to_records }))
    }
}

impl<R: Send> Source<R> {
    /// All records.
    ///
    /// # Errors
    /// Files that cannot be read, and rows of which no record can be made.
    pub fn load(self) -> Result<Loaded<R>> {
        match self.0 {
            Kind::Loaded(loaded) => Ok(loaded),
            Kind::Files(split) => {
                let mut records = Vec::new();
                let (rest, report) = split.read(&mut |chunk| {
                    records.extend(chunk);
                    true
                })?;
                records.extend(rest);
                tracing::debug!(rows = records.len(), parts = ?split.names(), "loaded");
                Ok(Loaded { records, report })
            }
        }
    }

    /// Hands the records on, chunk after chunk, with the number of the first; says how they were read.
    ///
    /// # Errors
    /// As [`Source::load`], and those of `take`, after which nothing more is read.
    pub(crate) fn each_chunk(
        &self,
        mut take: impl FnMut(usize, Chunk<'_, R>) -> Result<()>,
    ) -> Result<SourceReport> {
        let split = match &self.0 {
            Kind::Loaded(Loaded { records, report }) => {
                take(0, Chunk { records, report: Some(report) })?;
                return Ok(report.clone());
            }
            Kind::Files(split) => split,
        };
        let (sender, receiver) = sync_channel::<Vec<R>>(1);
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || split.read(&mut |chunk| sender.send(chunk).is_ok()));
            let mut number = 0;
            for records in receiver {
                take(number, Chunk { records: &records, report: None })?;
                number += records.len();
            }
            let (records, report) = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            take(number, Chunk { records: &records, report: Some(&report) })?;
            Ok(report)
        })
    }
}

impl<R> Split<R> {
    /// Reads all rows, as long as somebody takes their records; hands back the last ones.
    fn read(&self, take: &mut dyn FnMut(Vec<R>) -> bool) -> Result<(Vec<R>, SourceReport)> {
        let Self { parts, are_compared, to_records } = self;
        let (mut records, mut bytes, mut to_records) = (Vec::new(), 0, to_records());
        let report = each_row(parts, *are_compared, |row| {
            if records.len() >= ROWS || bytes >= BYTES {
                bytes = 0;
                if !take(std::mem::take(&mut records)) {
                    // Whoever took them has an error of their own.
                    return Err(DataError::NoRows(PathBuf::new()));
                }
            }
            bytes += row.columns.values().map(text_bytes).sum::<usize>();
            let before = records.len();
            let read = to_records(row, &mut records).and_then(|()| row.refuse_meaningful());
            read.inspect_err(|_| records.truncate(before))
        })?;
        Ok((records, report))
    }

    /// The files that rows say they come from, in their order.
    pub(crate) fn origins(&self) -> impl Iterator<Item = Arc<Path>> {
        self.parts.iter().flat_map(|part| &part.files).map(|file| Arc::from(file.as_path()))
    }

    fn names(&self) -> Vec<String> {
        self.parts.iter().map(Part::name).collect()
    }
}

/// Reads the rows of all parts. Those of which `take` says that they cannot be used are counted; where answers `are_compared`,
/// responses to equal prompts are one row.
pub(super) fn each_row(
    parts: &[Part],
    are_compared: bool,
    mut take: impl FnMut(&mut Row) -> Result<()>,
) -> Result<SourceReport> {
    let mut tally = Tally::new(parts.first().map_or(0.0, |part| part.dataset.max_bad_rows));
    // Entries of the parts' column mappings, each with whether a row of any part had its column.
    let mut mapped: BTreeMap<String, bool> = BTreeMap::new();
    for part in parts {
        let mut columns = Columns::of(part);
        let renamed = part.rows()?.map(|row| {
            row.map(|mut row| {
                columns.apply(&mut row);
                row
            })
        });
        let rows: Box<dyn Iterator<Item = Result<Row>>> =
            if are_compared { Box::new(Grouped::new(renamed)) } else { Box::new(renamed) };
        for row in rows {
            // Whatever cannot be read stops the load: what follows it is not what it seems.
            let mut row = row?;
            let read = take(&mut row);
            tally.voted(&row);
            match read {
                Ok(()) => tally.used(&row),
                Err(error) => tally.leave_out(row.count, error)?,
            }
        }
        columns.finish()?.for_each(|(entry, seen)| *mapped.entry(entry).or_default() |= seen);
        tally.ends(part, parts.len() > 1)?;
    }
    tally.finish(mapped.into_iter().filter(|(_, seen)| !seen).map(|(entry, _)| entry).collect())
}

/// Bytes of the texts in a value.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(text_bytes).sum(),
        Value::Object(fields) => fields.values().map(text_bytes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

impl<R> From<Loaded<R>> for Source<R> {
    fn from(loaded: Loaded<R>) -> Self {
        Self(Kind::Loaded(loaded))
    }
}

impl<R> From<Vec<R>> for Source<R> {
    fn from(records: Vec<R>) -> Self {
        Self(Kind::Loaded(records.into()))
    }
}

impl<R> Default for Source<R> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<R> fmt::Debug for Split<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split").field("parts", &self.parts).finish_non_exhaustive()
    }
}
