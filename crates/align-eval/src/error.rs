//! What can go wrong in an evaluation.

use std::io;
use std::path::{Path, PathBuf};

use crate::endpoint::EndpointError;

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A data set or a tokenizer.
    #[error(transparent)]
    Data(#[from] align_data::DataError),
    /// A model.
    #[error(transparent)]
    Model(#[from] align_models::Error),
    /// A reward.
    #[error(transparent)]
    Reward(#[from] align_reward::RewardError),
    /// A tensor operation.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// Figures that cannot be made of judged rows.
    #[error(transparent)]
    Stage(#[from] align_train::Error),
    /// A chat endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A training run's files.
    #[error(transparent)]
    Run(#[from] align_report::Error),
    /// A directory that cannot take the report.
    #[error("output_dir {0}")]
    Place(#[source] align_report::Error),
    /// A report that cannot be written.
    #[error("output_dir {}: {source}", dir.display())]
    Report {
        /// Where it should be.
        dir: PathBuf,
        /// Why it is not.
        source: align_report::Error,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something that was asked for and makes no sense: what was expected, what was found, what to do.
    #[error("{0}")]
    Config(String),
}

impl Error {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

impl From<Error> for align_stage::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Data(error) => error.into(),
            Error::Model(error) => error.into(),
            Error::Reward(error) => error.into(),
            Error::Tensor(error) => error.into(),
            Error::Stage(error) => error.into(),
            Error::Io { path, source } => align_files::Error { path, source }.into(),
            Error::Config(problem) => Self::Inputs(problem),
            error => Self::method(error),
        }
    }
}
