//! Training rows by number, wherever they are.

use std::borrow::Cow;

use super::encode::StoredRow;
use super::file::StoreFile;
use crate::error::Result;

/// Training rows: in memory, or in a file from which each is read when it is wanted.
#[derive(Clone, Debug)]
pub struct Rows<T>(pub(super) Kind<T>);

#[derive(Clone, Debug)]
pub(super) enum Kind<T> {
    Held(Vec<T>),
    Stored(StoreFile),
}

impl<T: StoredRow> Rows<T> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.0 {
            Kind::Held(rows) => rows.len(),
            Kind::Stored(file) => file.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens that a batch spends on each row.
    pub fn lengths(&self) -> Vec<usize> {
        match &self.0 {
            Kind::Held(rows) => rows.iter().map(T::tokens).collect(),
            Kind::Stored(file) => file.lengths(),
        }
    }

    /// The row with this number.
    ///
    /// # Errors
    /// A file that was changed or cut since it was opened.
    ///
    /// # Panics
    /// If there are not so many rows.
    pub fn get(&self, number: usize) -> Result<Cow<'_, T>> {
        match &self.0 {
            Kind::Held(rows) => Ok(Cow::Borrowed(&rows[number])),
            Kind::Stored(file) => file.row(number).map(Cow::Owned),
        }
    }

    /// All rows, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Result<Cow<'_, T>>> {
        RowSource::from(self).iter()
    }

    /// All rows in memory.
    ///
    /// # Errors
    /// As [`Rows::get`].
    pub fn into_vec(self) -> Result<Vec<T>> {
        match self.0 {
            Kind::Held(rows) => Ok(rows),
            Kind::Stored(_) => self.iter().map(|row| row.map(Cow::into_owned)).collect(),
        }
    }
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T> From<Vec<T>> for Rows<T> {
    fn from(rows: Vec<T>) -> Self {
        Self(Kind::Held(rows))
    }
}

/// Rows that are picked by number: a slice, or [`Rows`].
#[derive(Debug)]
pub enum RowSource<'a, T> {
    /// In memory.
    Slice(&'a [T]),
    /// In memory or not.
    Rows(&'a Rows<T>),
}

impl<'a, T: StoredRow> RowSource<'a, T> {
    /// Number of rows.
    pub fn len(self) -> usize {
        match self {
            Self::Slice(rows) => rows.len(),
            Self::Rows(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The row with this number.
    ///
    /// # Errors
    /// As [`Rows::get`].
    pub fn get(self, number: usize) -> Result<Cow<'a, T>> {
        match self {
            Self::Slice(rows) => Ok(Cow::Borrowed(&rows[number])),
            Self::Rows(rows) => rows.get(number),
        }
    }

    /// The rows with these numbers.
    ///
    /// # Errors
    /// As [`Rows::get`].
    pub fn pick(self, numbers: &[usize]) -> Result<Vec<Cow<'a, T>>> {
        numbers.iter().map(|&number| self.get(number)).collect()
    }

    /// All rows, one after the other.
    pub fn iter(self) -> impl Iterator<Item = Result<Cow<'a, T>>> {
        (0..self.len()).map(move |number| self.get(number))
    }
}

impl<T> Clone for RowSource<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for RowSource<'_, T> {}

impl<'a, T> From<&'a [T]> for RowSource<'a, T> {
    fn from(rows: &'a [T]) -> Self {
        Self::Slice(rows)
    }
}

impl<'a, T> From<&'a Vec<T>> for RowSource<'a, T> {
    fn from(rows: &'a Vec<T>) -> Self {
        Self::Slice(rows)
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for RowSource<'a, T> {
    fn from(rows: &'a [T; N]) -> Self {
        Self::Slice(rows)
    }
}

impl<'a, T> From<&'a Rows<T>> for RowSource<'a, T> {
    fn from(rows: &'a Rows<T>) -> Self {
        Self::Rows(rows)
    }
}
