//! What can be wrong with a GGUF file.

use std::path::{Path, PathBuf};

/// This crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Characters of a problem, and of a name that it repeats.
const LONGEST: usize = 800;
const SHOWN: usize = 100;

/// The errors of this crate. They say which file, what was expected, and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file was read but its content is not what it should be.
    #[error("{path}: {problem}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The problem, and what to do.
        problem: String,
    },
}

impl Error {
    /// The words of a file may stand in the problem: it is kept to a few lines of a terminal.
    pub fn invalid(path: &Path, problem: impl AsRef<str>) -> Self {
        Self::Invalid { path: path.to_owned(), problem: align_text::shortened(problem.as_ref(), LONGEST) }
    }

    /// For `map_err` on a path's operation.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

impl From<align_files::Error> for Error {
    fn from(error: align_files::Error) -> Self {
        Self::Io { path: error.path, source: error.source }
    }
}

/// A name that somebody else chose, for an error.
pub(crate) fn shown(name: &str) -> String {
    align_text::shortened(name, SHOWN)
}
