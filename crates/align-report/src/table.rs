//! A table before it is Markdown, HTML or lines in a terminal.

use serde::Serialize;

/// Rows of cells under headings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    /// What it shows.
    pub(crate) caption: String,
    /// Headings; the first column names the rows.
    pub(crate) columns: Vec<String>,
    /// Rows of as many cells; a cell is `None` where nothing was measured.
    pub(crate) rows: Vec<Vec<Option<Cell>>>,
}

/// A figure, what stands small beside it, and what is drawn behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) note: String,
    /// A share in [0, 1] to draw as a bar.
    pub(crate) bar: Option<f64>,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(crate) fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }

    pub(crate) fn with_bar(self, share: f64) -> Self {
        Self { bar: Some(share.clamp(0.0, 1.0)), ..self }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        if self.note.is_empty() { self.text.clone() } else { format!("{} ({})", self.text, self.note) }
    }
}

impl Table {
    /// Without the columns in which nothing was measured.
    pub(crate) fn new<const N: usize>(
        caption: impl Into<String>,
        columns: [&str; N],
        rows: impl IntoIterator<Item = [Option<Cell>; N]>,
    ) -> Self {
        let rows: Vec<[Option<Cell>; N]> = rows.into_iter().collect();
        let kept: Vec<usize> =
            (0..N).filter(|&column| rows.iter().any(|row| row[column].is_some())).collect();
        Self {
            caption: caption.into(),
            columns: kept.iter().map(|&column| columns[column].to_owned()).collect(),
            rows: rows
                .into_iter()
                .map(|row| kept.iter().map(|&column| row[column].clone()).collect())
                .collect(),
        }
    }

    /// With the cells of each column below each other: the first to the left, figures to the right. Of a cell that is wider
    /// than a terminal the beginning stands for all.
    pub(crate) fn to_text(&self) -> String {
        let mut lines = vec![self.columns.clone()];
        lines.extend(self.rows.iter().map(|row| row.iter().map(|cell| shortened(line(cell))).collect()));
        let width =
            |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for line in lines {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .enumerate()
                .map(|(column, (cell, &width))| match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            text += cells.join("  ").trim_end();
            text.push('\n');
        }
        text
    }

    /// As GitHub reads it.
    pub(crate) fn to_markdown(&self) -> String {
        let row = |cells: Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| crate::markdown::escape(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = row(self.columns.clone());
        let rules: Vec<&str> =
            (0..self.columns.len()).map(|column| if column == 0 { ":--" } else { "--:" }).collect();
        text += &format!("| {} |\n", rules.join(" | "));
        for cells in &self.rows {
            text += &row(cells.iter().map(line).collect());
        }
        text
    }
}

fn line(cell: &Option<Cell>) -> String {
    cell.as_ref().map_or_else(|| crate::format::UNKNOWN.to_owned(), Cell::line)
}

/// Characters of a cell in a terminal.
const WIDEST: usize = 100;

fn shortened(cell: String) -> String {
    match cell.char_indices().nth(WIDEST) {
        None => cell,
        Some((end, _)) => format!("{}…", &cell[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let cell = |text: &str| Some(Cell::new(text));
        Table::new(
            "Models",
            ["model", "reward", "never", "KL"],
            [
                [cell("sft"), cell("0.1"), None, None],
                [cell("dpo|x"), Some(Cell::new("1.25").with_note("± 0.5")), None, cell("4")],
            ],
        )
    }

    #[test]
    fn columns_without_a_figure_are_left_out() {
        assert_eq!(table().columns, ["model", "reward", "KL"]);
    }

    #[test]
    fn lines_in_a_terminal_stand_below_each_other() {
        let expected = "model        reward  KL\nsft             0.1   –\ndpo|x  1.25 (± 0.5)   4\n";
        assert_eq!(table().to_text(), expected);
    }

    #[test]
    fn a_cell_of_any_length_has_a_line() {
        for length in [99, 100, 101, 65_535, 1 << 20] {
            let cells = [Some(Cell::new("ä".repeat(length))), Some(Cell::new("1".repeat(length)))];
            let text = Table::new("Models", ["model", "reward"], [cells]).to_text();
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert_eq!(widest, 2 * length.min(101) + 2, "{length}");
        }
    }

    #[test]
    fn a_cell_cannot_break_its_row_in_markdown() {
        let expected = "| model | reward | KL |\n| :-- | --: | --: |\n| sft | 0.1 | – |\n| dpo\\|x | 1.25 (± 0.5) | 4 |\n";
        assert_eq!(table().to_markdown(), expected);
    }
}
