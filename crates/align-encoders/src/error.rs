//! What keeps an encoder from giving scores.

use std::path::PathBuf;

/// This crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors say which file, what was expected, and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] align_files::Error),
    /// The tokenizer, or a text that it cannot encode.
    #[error(transparent)]
    Data(#[from] align_data::DataError),
    /// A file was read but its content is not what it should be.
    #[error("{path}: {problem}", path = path.display())]
    Invalid {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// What is wrong with a file; of an error of candle's its words alone.
    pub(crate) fn invalid(path: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        let problem = align_text::without_backtrace(&problem.into()).to_owned();
        Self::Invalid { path: path.into(), problem }
    }
}
