//! Tables as the template wants them.

use minijinja::Value;
use serde::Serialize;

use super::charts;
use crate::table::{Cell, Table};

/// A table with its columns' alignment.
#[derive(Debug, Serialize)]
pub(super) struct View {
    caption: String,
    columns: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Column {
    title: String,
    /// Figures stand to the right, below each other.
    is_figure: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    cells: Vec<Cell>,
    /// The sign of the row's series in the charts, if it has one.
    mark: Option<Value>,
}

impl From<Table> for View {
    fn from(table: Table) -> Self {
        let is_figure = |column: usize| {
            let mut cells = table.rows.iter().filter_map(|row| row[column].as_ref()).peekable();
            column > 0 && cells.peek().is_some() && cells.all(|cell| starts_as_figure(&cell.text))
        };
        let columns = table.columns.iter().enumerate();
        let columns = columns
            .map(|(column, title)| Column { title: title.clone(), is_figure: is_figure(column) })
            .collect();
        let unknown = || Cell::new(crate::format::UNKNOWN);
        let row = |row: Vec<Option<Cell>>| Row {
            cells: row.into_iter().map(|cell| cell.unwrap_or_else(unknown)).collect(),
            mark: None,
        };
        Self { caption: table.caption, columns, rows: table.rows.into_iter().map(row).collect() }
    }
}

impl View {
    /// With the signs of the series that the charts have: the row's place is the series.
    pub(super) fn with_marks(mut self) -> Self {
        for (series, row) in self.rows.iter_mut().enumerate() {
            row.mark = Some(charts::sign(series));
        }
        self
    }
}

fn starts_as_figure(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '–')) || text.starts_with("r = ")
}
