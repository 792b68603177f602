//! Rows of results on their way out: on standard output as they come, or in a new file that appears when all are there.

use std::io::Write as _;
use std::path::Path;

use align_files::NewFile;
use anyhow::Context as _;
use serde::Serialize;

use crate::stdout::print_row;

/// JSON lines, each a row.
#[derive(Debug)]
pub enum JsonLines {
    /// Standard output.
    Printed,
    /// A file, and how many rows are in it.
    Filed(NewFile, usize),
}

impl JsonLines {
    /// Into the new file `path`. Its directory is known to be writable then, and a signal that ends the process leaves
    /// nothing there.
    ///
    /// # Errors
    /// If the file is there already, or cannot be made.
    pub fn to_new_file(path: &Path) -> anyhow::Result<Self> {
        crate::end_tidily();
        Ok(Self::Filed(NewFile::create(path).map_err(|error| about_output(&error))?, 0))
    }

    /// Takes the next row.
    ///
    /// # Errors
    /// If it cannot be written; where nobody reads standard output any more, as [`print_row`].
    pub fn write(&mut self, row: &impl Serialize) -> anyhow::Result<()> {
        match self {
            Self::Printed => print_row(serde_json::to_string(row)?),
            Self::Filed(file, rows) => {
                serde_json::to_writer(&mut *file, row)
                    .map_err(std::io::Error::from)
                    .and_then(|()| file.write_all(b"\n"))
                    .with_context(|| format!("output {}", file.path().display()))?;
                *rows += 1;
                Ok(())
            }
        }
    }

    /// All rows are there: the file gets its name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> anyhow::Result<()> {
        let Self::Filed(file, rows) = self else { return Ok(()) };
        let path = file.path().to_owned();
        file.finish().map_err(|error| about_output(&error))?;
        tracing::info!("{rows} rows written to {}", path.display());
        Ok(())
    }
}

fn about_output(error: &align_files::Error) -> anyhow::Error {
    anyhow::anyhow!("output {error}")
}
