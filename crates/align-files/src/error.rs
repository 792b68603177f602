//! The system's reason with the path that it is about: neither is of use without the other.

use std::io;
use std::path::{Path, PathBuf};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A path that cannot be read or written, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct Error {
    /// The path as the caller named it.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl Error {
    /// For `map_err`: an error of the system, about `path`.
    pub fn at(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { path: path.as_ref().to_owned(), source }
    }

    /// About `path`, in words.
    pub fn new(path: impl AsRef<Path>, kind: io::ErrorKind, problem: impl Into<String>) -> Self {
        Self::at(path)(io::Error::new(kind, problem.into()))
    }
}

/// For callers that answer with an error of the system: the path stays in the message.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.source.kind(), error.to_string())
    }
}
