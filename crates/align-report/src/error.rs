//! What can go wrong: files that cannot be read or written, and files that are not what they should be.

use std::io;
use std::path::{Path, PathBuf};

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why a report or a log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file is there and is not what it should be.
    #[error("{path}{at}: {problem}", path = path.display(), at = line.map(|line| format!(":{line}")).unwrap_or_default())]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// The line, counted from 1, where it is known.
        line: Option<usize>,
        /// The problem: what was expected and found, and what to do.
        problem: String,
    },
    /// An option of a page that makes no sense, or names what is not there.
    #[error("{0}")]
    Option(String),
    /// The page cannot be put together: a mistake in this crate.
    #[error("report.html: {0}")]
    Page(#[from] minijinja::Error),
}

impl From<align_files::Error> for Error {
    fn from(error: align_files::Error) -> Self {
        Self::Io { path: error.path, source: error.source }
    }
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), line: None, problem: problem.into() }
    }

    pub(crate) fn line(path: &Path, line: usize, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), line: Some(line), problem: problem.into() }
    }
}
