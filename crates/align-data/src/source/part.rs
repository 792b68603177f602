//! A part of a source: the split of one data set, or the first rows of it, read with its own names of columns.

use std::path::PathBuf;

use super::files::split_files;
use super::rows::Row;
use super::slice::Slice;
use super::stream::{Rows, count};
use crate::dataset::Dataset;
use crate::error::Result;
use crate::mixture::option_error;

/// A part of a source: rows of a split of a data set.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) dataset: Dataset,
    pub(crate) split: String,
    pub(crate) files: Vec<PathBuf>,
    /// How many of its rows are taken, from the first on; none is all.
    pub(crate) first: Option<usize>,
}

impl Part {
    /// Finds the files of a split.
    pub(super) fn find(dataset: Dataset, split: &str) -> Result<Self> {
        let files = split_files(&dataset, Slice::parse(split)?.split())?;
        Ok(Self { dataset, split: split.to_owned(), files, first: None })
    }

    /// How many rows the split has, whatever is taken of them.
    pub(super) fn count(&self) -> Result<usize> {
        let slice = Slice::parse(&self.split)?;
        let total = count(&self.dataset, &self.files, &self.split)?;
        Ok(slice.range(total)?.len())
    }

    /// Its rows, in their order.
    pub(super) fn rows(&self) -> Result<impl Iterator<Item = Result<Row>> + use<>> {
        Ok(Rows::of_split(&self.dataset, &self.split)?.take(self.first.unwrap_or(usize::MAX)))
    }

    /// What people call it: its place, with its config and its split where they are named.
    pub(super) fn name(&self) -> String {
        let place = self.dataset.path.display();
        let config = self.dataset.config.as_ref().map(|config| format!(" ({config})")).unwrap_or_default();
        let split = if self.split == "train" { String::new() } else { format!(" {}", self.split) };
        format!("{place}{config}{split}")
    }
}

/// The columns of a part's rows, as they are met.
pub(super) struct Columns<'a> {
    part: &'a Part,
    mapped: Vec<bool>,
    selected: Vec<bool>,
    /// Whether there was a row.
    met: bool,
}

impl<'a> Columns<'a> {
    pub(super) fn of(part: &'a Part) -> Self {
        let selected = part.dataset.selected.as_ref().map_or(0, Vec::len);
        Self { part, mapped: Vec::new(), selected: vec![false; selected], met: false }
    }

    /// Leaves the columns that are read, by the names that they have here.
    pub(super) fn apply(&mut self, row: &mut Row) {
        self.met = true;
        let Dataset { columns, selected, .. } = &self.part.dataset;
        if let Some(selected) = selected {
            for (name, seen) in selected.iter().zip(&mut self.selected) {
                *seen |= row.columns.contains_key(name);
            }
            row.columns.retain(|name, _| selected.contains(name));
        }
        columns.rename(&mut row.columns, &mut self.mapped);
    }

    /// The entries of the column mapping, each with whether a row had its column.
    ///
    /// # Errors
    /// A column to be read that no row has.
    pub(super) fn finish(self) -> Result<impl Iterator<Item = (String, bool)>> {
        let Dataset { columns, selected, .. } = &self.part.dataset;
        let missing = selected.iter().flatten().zip(&self.selected).find(|(_, seen)| !**seen);
        if let Some((name, _)) = missing.filter(|_| self.met) {
            let rule =
                format!("expected `columns` that {} has; no row has one of this name", self.part.name());
            return option_error("datasets", rule, format!("`{}`", crate::guard::shortened(name)));
        }
        Ok(columns.entries(&self.mapped).collect::<Vec<_>>().into_iter())
    }
}
