//! Where completions go: to a person, or as JSON lines to a program.

use std::path::Path;

use align_cli::JsonLines;
use align_generate::Row;

/// Where rows go.
pub(crate) enum Output {
    /// Standard output, for reading.
    Readable,
    /// As JSON lines.
    Lines(JsonLines),
}

impl Output {
    /// Checks that the file can be made; it appears when all is done.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match path {
            None => Self::Readable,
            Some(path) if path == Path::new("-") => Self::Lines(JsonLines::Printed),
            Some(path) => Self::Lines(JsonLines::to_new_file(path)?),
        })
    }

    /// Takes the next row.
    pub(crate) fn write(&mut self, row: &Row<'_>) -> anyhow::Result<()> {
        match self {
            Self::Readable => align_cli::print_row(row),
            Self::Lines(lines) => lines.write(row),
        }
    }

    /// All rows are there.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Readable => Ok(()),
            Self::Lines(lines) => lines.finish(),
        }
    }
}
