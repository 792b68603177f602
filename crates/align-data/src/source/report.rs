//! What became of a split's rows on their way to records: as what they were read, which were left out and why, which
//! columns nobody read.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::part::Part;
use super::rows::Row;
use crate::error::{DataError, Result};
use crate::guard::shortened;
use crate::mixture::option_error;
use crate::record::Origin;

/// Reasons, and columns without a use, that are told apart. Files of strangers can have any number.
const MOST: usize = 32;

/// The records of a split, with how they were read.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded<R> {
    /// The records.
    pub records: Vec<R>,
    /// How they were read; empty for records that were made in code.
    pub report: SourceReport,
}

impl<R> Loaded<R> {
    /// The same with other records, made of these.
    #[must_use]
    pub fn map<S>(self, make: impl FnOnce(Vec<R>) -> Vec<S>) -> Loaded<S> {
        Loaded { records: make(self.records), report: self.report }
    }
}

impl<R> Default for Loaded<R> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<R> From<Vec<R>> for Loaded<R> {
    fn from(records: Vec<R>) -> Self {
        Self { records, report: SourceReport::default() }
    }
}

impl<R> Deref for Loaded<R> {
    type Target = [R];

    fn deref(&self) -> &[R] {
        &self.records
    }
}

impl<R> IntoIterator for Loaded<R> {
    type Item = R;
    type IntoIter = std::vec::IntoIter<R>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

/// How a split was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Rows in the files.
    pub rows: usize,
    /// Rows that records were made of.
    pub used: usize,
    /// The shapes that rows were recognised as.
    pub read_as: Vec<ReadAs>,
    /// Rows that were left out, by reason.
    pub left_out: Vec<LeftOut>,
    /// Rows of these that cannot be used; the others say that no answer is better.
    pub bad: usize,
    /// Columns that were not read.
    pub unused_columns: BTreeSet<String>,
    /// Entries of the column mapping whose column no row had.
    pub unmapped: Vec<String>,
    /// Rows by the data set that they come from, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceRows>,
}

/// The rows of one data set of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRows {
    /// Its place, with its config and its split.
    pub name: String,
    /// Rows that were taken of it.
    pub rows: usize,
    /// Rows of these that records were made of.
    pub used: usize,
}

/// A shape of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadAs {
    /// Its name.
    pub shape: String,
    /// The columns that were read.
    pub columns: Vec<String>,
    /// Rows of it.
    pub rows: usize,
}

/// Rows that cannot be used for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The reason.
    pub reason: String,
    /// The number of rows.
    pub rows: usize,
    /// The complaint about the first, with its place.
    pub first: String,
}

impl LeftOut {
    /// Counts rows that an error leaves out.
    pub(crate) fn count(all: &mut Vec<Self>, reason: String, rows: usize, error: &DataError) {
        let is_full = all.len() >= MOST;
        match all.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.rows += rows,
            None if is_full => all[MOST - 1].rows += rows,
            None => all.push(Self { reason, rows, first: error.to_string() }),
        }
    }
}

impl fmt::Display for SourceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |names: &mut dyn Iterator<Item = &String>| {
            names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let lines = self.read_as.iter().map(|read| {
            let rows = if read.rows == self.rows { String::new() } else { format!(" {} rows", read.rows) };
            format!("read{rows} as {} ({})", read.shape, quoted(&mut read.columns.iter()))
        });
        let mut lines: Vec<String> = lines.collect();
        for SourceRows { name, rows, used } in &self.sources {
            let percent = 100.0 * *rows as f64 / self.rows.max(1) as f64;
            let left_out = if used < rows { format!(", {} left out", rows - used) } else { String::new() };
            lines.push(format!("  {rows} rows ({percent:.1} %) of {}{left_out}", shortened(name)));
        }
        if !self.unused_columns.is_empty() {
            lines.push(format!("not read: {}", quoted(&mut self.unused_columns.iter())));
        }
        if self.used < self.rows {
            lines.push(format!("{} of {} rows left out", self.rows - self.used, self.rows));
        }
        lines.extend(self.left_out.iter().map(ToString::to_string));
        f.write_str(&lines.join("\n"))
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, rows, first } = self;
        write!(f, "  {rows} rows: {reason} (the first: {first})")
    }
}

/// The counts of a split that is being read.
pub(super) struct Tally {
    report: SourceReport,
    /// The share of bad rows that is allowed.
    most: f64,
    /// The first bad row's error, and that of the first row that is left out without a fault.
    first_bad: Option<DataError>,
    first_tie: Option<DataError>,
    /// Rows with votes in numbers, which of 0, 1 and 2 there were, and the first row with a 0.
    voted: (usize, [bool; 3], Option<Origin>),
    /// The first row whose prompt is a string that is continued as it stands, and the first whose system turn makes a
    /// conversation of such a one.
    formats: [Option<Origin>; 2],
    /// The rows and the used rows of the parts before, and the first complaint about a row of this one.
    before: (usize, usize),
    complaint: Option<String>,
}

/// Rows from which on votes of 0 and 1 alone are no accident.
const VOTES: usize = 20;

impl Tally {
    pub(super) fn new(most: f64) -> Self {
        Self {
            report: SourceReport::default(),
            most,
            first_bad: None,
            first_tie: None,
            voted: (0, [false; 3], None),
            formats: [None, None],
            before: (0, 0),
            complaint: None,
        }
    }

    /// Notes that all rows of a part were read.
    ///
    /// # Errors
    /// One without rows; one of several of which no row can be used.
    pub(super) fn ends(&mut self, part: &Part, is_of_several: bool) -> Result<()> {
        let (rows, used) = (self.report.rows - self.before.0, self.report.used - self.before.1);
        if rows == 0 {
            return Err(DataError::NoRows(part.dataset.path.clone()));
        }
        if is_of_several {
            let name = part.name();
            if let (0, Some(complaint)) = (used, self.complaint.take()) {
                let rule = format!(
                    "expected rows that can be used in each of the data sets; the first of {name}: {complaint}"
                );
                return option_error("datasets", rule, format!("{rows} rows of which none can be"));
            }
            self.report.sources.push(SourceRows { name, rows, used });
        }
        (self.before, self.complaint) = ((self.report.rows, self.report.used), None);
        Ok(())
    }

    /// Counts a row that a record was made of.
    pub(super) fn used(&mut self, row: &Row) {
        if let Some(is_chat) = row.is_chat {
            self.formats[usize::from(is_chat)].get_or_insert_with(|| row.origin.clone());
        }
        let report = &mut self.report;
        report.rows += row.count;
        report.used += row.count;
        for name in row.unused() {
            if report.unused_columns.len() < MOST && !report.unused_columns.contains(name) {
                report.unused_columns.insert(shortened(name));
            }
        }
        let read_as = match report.read_as.iter_mut().find(|known| known.shape == row.shape) {
            Some(known) => known,
            None => {
                let (shape, columns) = (row.shape.to_owned(), Vec::new());
                report.read_as.push(ReadAs { shape, columns, rows: 0 });
                report.read_as.last_mut().expect("one was added")
            }
        };
        read_as.rows += row.count;
        for name in &row.used {
            if read_as.columns.len() < MOST && !read_as.columns.contains(name) {
                read_as.columns.push(shortened(name));
            }
        }
    }

    /// Notes the votes of a row, whatever becomes of it.
    pub(super) fn voted(&mut self, row: &Row) {
        let (rows, seen, first) = &mut self.voted;
        *rows += usize::from(row.voted != [false; 3]);
        seen.iter_mut().zip(row.voted).for_each(|(seen, voted)| *seen |= voted);
        if row.voted[0] {
            first.get_or_insert_with(|| row.origin.clone());
        }
    }

    /// Counts a row that is left out.
    ///
    /// # Errors
    /// What is not an error about a row; the row's own where none may be left out.
    pub(super) fn leave_out(&mut self, rows: usize, error: DataError) -> Result<()> {
        let Some(reason) = error.reason() else { return Err(error) };
        let is_tie = matches!(error, DataError::NoPreference { .. });
        if !is_tie && self.most <= 0.0 {
            return Err(error);
        }
        self.report.rows += rows;
        self.complaint.get_or_insert_with(|| error.to_string());
        LeftOut::count(&mut self.report.left_out, reason, rows, &error);
        if is_tie {
            self.first_tie.get_or_insert(error);
        } else {
            self.report.bad += rows;
            self.first_bad.get_or_insert(error);
        }
        Ok(())
    }

    /// The report, if not too many rows were left out.
    ///
    /// # Errors
    /// More bad rows than are allowed; rows of which none could be used.
    pub(super) fn finish(self, unmapped: Vec<String>) -> Result<SourceReport> {
        let Self { report, most, first_bad, first_tie, voted, formats, .. } = self;
        if let [Some(plain), Some(origin)] = formats {
            let reason = format!(
                "its `system` makes a conversation of its prompt, and {plain} has none, so that its prompt is continued as it stands: \
                 give all rows a `system` or none, or write prompts as messages"
            );
            return Err(DataError::Row { origin, reason });
        }
        if let (VOTES.., [true, true, false], Some(origin)) = voted {
            let reason = "a vote of 1 is for the first answer, 2 for the second and 0 a tie, and here are 0 and 1 alone, which may stand \
                          for the two answers; write votes as 1 and 2, or in words (`a`, `b`, `tie`)";
            return Err(DataError::Row { origin, reason: reason.to_owned() });
        }
        let (rows, bad) = (report.rows, report.bad);
        if let Some(first) = first_bad.filter(|_| bad > allowed(most, rows) || report.used == 0) {
            return Err(DataError::BadRows { first: Box::new(first), bad, rows, most });
        }
        match first_tie {
            Some(tie) if report.used == 0 => Err(tie),
            _ => Ok(SourceReport { unmapped, ..report }),
        }
    }
}

/// How many of so many rows a share is.
pub(crate) fn allowed(share: f64, rows: usize) -> usize {
    // What is written as 0.01 is a little less or more.
    (share * rows as f64 + 1e-9).max(0.0) as usize
}
