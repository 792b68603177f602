//! Parquet: rows as if they were lines of JSON, a row group at a time.
//!
//! `footer` finds the row groups, `pages` reads their pages (`header`, `thrift`, `codec`, within a `budget`), the library
//! decodes them, `column` holds what it decoded, and `rows` puts rows of the schema's `shape` together (`value`). The
//! library has a reader of rows too; it has a stack of its own for every list, panics on shapes that it does not know, and
//! copies what a dictionary names, however often it does. What is left of the library here runs behind a guard.

mod budget;
mod codec;
mod column;
mod footer;
mod header;
mod pages;
mod rows;
mod shape;
mod thrift;
mod value;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use parquet::file::metadata::ParquetMetaData;

use self::rows::Group;
use super::rows::Row;
use crate::error::DataError;
use crate::guard::{guarded, shortened};
use crate::record::Origin;

/// `Result` with what is wrong with a file.
type Result<T> = std::result::Result<T, String>;

/// The rows of a Parquet file.
pub(super) fn rows(path: Arc<Path>) -> crate::Result<impl Iterator<Item = crate::Result<Row>>> {
    let (file, metadata, end) = open(&path)?;
    let schema = guarded(|| metadata.file_metadata().schema_descr().root_schema().clone());
    let fields =
        schema.and_then(|schema| shape::fields(&schema)).map_err(|problem| unreadable(&path, &problem))?;
    let reading = Reading {
        path,
        file: Arc::new(Mutex::new(file)),
        metadata,
        end,
        fields,
        next: 0,
        group: None,
        row: 0,
    };
    Ok(reading.fused())
}

/// The number of rows of a Parquet file, as its footer says.
pub(super) fn count(path: &Path) -> crate::Result<usize> {
    let (_, metadata, _) = open(path)?;
    let rows = metadata.row_groups().iter().map(|group| usize::try_from(group.num_rows()).unwrap_or(0));
    Ok(rows.fold(0, usize::saturating_add))
}

fn open(path: &Path) -> crate::Result<(File, ParquetMetaData, u64)> {
    let mut file = align_files::open(path)?;
    let (metadata, end) = footer::read(&mut file).map_err(|problem| unreadable(path, &problem))?;
    Ok((file, metadata, end))
}

/// A file that is being read.
struct Reading {
    path: Arc<Path>,
    file: Arc<Mutex<File>>,
    metadata: ParquetMetaData,
    /// Where pages end in the file.
    end: u64,
    fields: Vec<(String, shape::Node)>,
    /// The row group that comes next.
    next: usize,
    group: Option<Group>,
    /// The number of the row that was read last, from 1.
    row: usize,
}

impl Reading {
    /// Rows until the first error: what comes after it would be another row's.
    fn fused(mut self) -> impl Iterator<Item = crate::Result<Row>> {
        let mut failed = false;
        std::iter::from_fn(move || {
            let row = if failed { None } else { self.advance().transpose() };
            failed |= matches!(row, Some(Err(_)));
            row
        })
    }

    fn advance(&mut self) -> crate::Result<Option<Row>> {
        loop {
            if let Some(group) = &mut self.group {
                match group.next_row(&self.fields) {
                    Ok(Some(columns)) => {
                        self.row += 1;
                        return Ok(Some(Row::new(self.origin(self.row), columns, false)));
                    }
                    Ok(None) => self.group = None,
                    Err(problem) => {
                        let reason = format!("cannot be read: {}", shortened(&problem));
                        return Err(DataError::Row { origin: self.origin(self.row + 1), reason });
                    }
                }
            }
            let Some(group) = self.metadata.row_groups().get(self.next) else { return Ok(None) };
            self.next += 1;
            // Of no rows there are no pages, wherever they are said to be.
            if group.num_rows() == 0 {
                continue;
            }
            let group = Group::new(&self.file, self.end, group);
            self.group = Some(group.map_err(|problem| unreadable(&self.path, &problem))?);
        }
    }

    fn origin(&self, row: usize) -> Origin {
        Origin::new(self.path.clone(), row)
    }
}

fn unreadable(path: &Path, problem: &str) -> DataError {
    let source = io::Error::new(io::ErrorKind::InvalidData, shortened(problem));
    DataError::Read { path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests;
