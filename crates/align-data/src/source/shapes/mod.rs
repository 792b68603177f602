//! What a row is, told by its columns: for each kind of record a table of the shapes that people's data sets have, each with
//! the columns that it needs and the function that reads it.
//!
//! The first shape whose columns a row has is the one that it is read as, and the report says so. A row that has none of them
//! is told what its kind of record is made of.

pub(super) mod answers;
mod demonstration;
mod graded;
mod prompt_only;
mod trees;
mod unpaired;
mod voted;

pub(super) use answers::{Rankings, candidates, pair, pair_with_reference};
pub(super) use demonstration::demonstration;
pub(super) use graded::Grouped;
pub(super) use prompt_only::{prompt, task};
pub(super) use unpaired::Answers;
pub(super) use voted::{ANSWERS, votes};

use serde_json::Value;

use super::rows::Row;
use crate::error::Result;

/// A shape of rows that become a `T`.
struct Shape<T> {
    /// What it is called in the report.
    name: &'static str,
    /// The columns that a row of it has: `a|b` is one of them, `a[].b` a list of objects with such a key.
    columns: &'static [&'static str],
    read: fn(&mut Row) -> Result<T>,
}

/// Reads a row as the first shape that it has; none where it has none.
fn read<T>(row: &mut Row, shapes: &[Shape<T>]) -> Option<Result<T>> {
    let shape = shapes.iter().find(|shape| shape.is_of(row))?;
    row.shape = shape.name;
    Some((shape.read)(row))
}

/// Whether a row has one of the shapes.
fn is_any<T>(row: &Row, shapes: &[Shape<T>]) -> bool {
    shapes.iter().any(|shape| shape.is_of(row))
}

impl<T> Shape<T> {
    fn is_of(&self, row: &Row) -> bool {
        self.columns.iter().all(|columns| has(row, columns))
    }
}

fn has(row: &Row, columns: &str) -> bool {
    columns.split('|').any(|column| match column.split_once("[].") {
        None => row.has(column),
        Some((list, key)) => {
            let first = row.columns.get(list).and_then(Value::as_array).and_then(|items| items.first());
            first.and_then(Value::as_object).is_some_and(|item| item.contains_key(key))
        }
    })
}

/// The first of the columns that a row has; the first of all if it has none, which is then what is missing.
fn first_of<'a>(row: &Row, columns: &[&'a str]) -> &'a str {
    columns.iter().copied().find(|column| row.has(column)).unwrap_or(columns[0])
}
