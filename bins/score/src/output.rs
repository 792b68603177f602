//! Where rows go: standard output as they come, or a file that appears when all is done.

use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use tempfile::NamedTempFile;

/// The destination.
pub(crate) enum Output {
    /// Standard output.
    Lines,
    /// A file under a temporary name beside its own.
    File { path: PathBuf, file: BufWriter<NamedTempFile>, rows: usize },
}

impl Output {
    /// Opens it; a file that is there already is not replaced.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::Lines) };
        ensure!(!path.exists(), "output {}: exists; remove it or name another file", path.display());
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))
            .map_err(|error| anyhow::anyhow!("output {}: cannot write there: {error}", path.display()))?;
        Ok(Self::File { path: path.to_owned(), file: BufWriter::new(file), rows: 0 })
    }

    /// Takes the next row.
    #[expect(clippy::print_stdout, reason = "a panic where nobody reads ends the program as SIGPIPE would")]
    pub(crate) fn write(&mut self, row: &impl Serialize) -> anyhow::Result<()> {
        match self {
            Self::Lines => println!("{}", serde_json::to_string(row)?),
            Self::File { path, file, rows } => {
                serde_json::to_writer(&mut *file, row)?;
                file.write_all(b"\n").with_context(|| path.display().to_string())?;
                *rows += 1;
            }
        }
        Ok(())
    }

    /// All rows are there: the file gets its name.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let Self::File { path, file, rows } = self else { return Ok(()) };
        let named = || -> io::Result<()> {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            readable(&file, &path)?;
            file.persist_noclobber(&path).map_err(|error| error.error)?;
            Ok(())
        };
        named().with_context(|| format!("output {}", path.display()))?;
        tracing::info!("{rows} rows written to {}", path.display());
        Ok(())
    }
}

/// A temporary file is its owner's alone; gives it the permissions of a new file in its place.
fn readable(file: &NamedTempFile, path: &Path) -> io::Result<()> {
    let probe = path.with_added_extension("tmp");
    let permissions = std::fs::File::create(&probe)?.metadata()?.permissions();
    std::fs::remove_file(&probe)?;
    file.as_file().set_permissions(permissions)
}
