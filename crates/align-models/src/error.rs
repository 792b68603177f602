//! What can be wrong with a model directory or a batch.

use std::path::PathBuf;

/// This crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Characters of a wrong value that an error repeats.
pub(crate) const SHOWN: usize = 200;

/// The errors of this crate. They say which file or tensor, what was expected, and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file was read but its content is not what it should be.
    #[error("{path}: {problem}", path = path.display())]
    Invalid {
        /// The file or directory.
        path: PathBuf,
        /// The problem, and what to do.
        problem: String,
    },
    /// A model or generation setting makes no sense.
    #[error("{0}")]
    Config(String),
    /// A model's logits are no numbers, so that no token can be chosen.
    #[error(
        "the model's logits are not finite at token {token} of completion {completion}: its weights hold NaN or numbers too \
         large to compute with"
    )]
    NotFinite {
        /// The completion's number, counted from 0 over all prompts.
        completion: usize,
        /// The token's number in it, counted from 0.
        token: usize,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Characters of a problem.
const LONGEST: usize = 800;

impl From<align_files::Error> for Error {
    fn from(error: align_files::Error) -> Self {
        Self::Io { path: error.path, source: error.source }
    }
}

impl From<align_gguf::Error> for Error {
    fn from(error: align_gguf::Error) -> Self {
        match error {
            align_gguf::Error::Io { path, source } => Self::Io { path, source },
            align_gguf::Error::Invalid { path, problem } => Self::Invalid { path, problem },
        }
    }
}

impl Error {
    /// The words of a file may stand in the problem: it is kept to a few lines of a terminal.
    pub(crate) fn invalid(path: impl Into<PathBuf>, problem: impl AsRef<str>) -> Self {
        Self::Invalid { path: path.into(), problem: align_text::shortened(problem.as_ref(), LONGEST) }
    }

    /// For `map_err` on a path's operation.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
