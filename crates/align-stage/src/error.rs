//! What keeps a job from its end.

use std::path::PathBuf;

use align_train::StopReason;

use crate::PlaceError;

/// The result of a job's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a job did not begin, or did not end. Each says in one message where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option that makes no sense.
    #[error("`{option}`: {problem}")]
    Option {
        /// Its name.
        option: String,
        /// The problem with it, and what to do.
        problem: String,
    },
    /// An option that has no effect beside the others.
    #[error("`{option}`: has no effect, {because}; remove it")]
    NoEffect {
        /// Its name.
        option: String,
        /// The reason.
        because: String,
    },
    /// Inputs that do not go together: models with each other, rows with a reward, options with both.
    #[error("{0}")]
    Inputs(String),
    /// The data.
    #[error(transparent)]
    Data(#[from] align_data::DataError),
    /// A model's directory.
    #[error(transparent)]
    Model(#[from] align_models::Error),
    /// A model or data set that is neither here nor on the hub, or cannot be fetched.
    #[error(transparent)]
    Hub(#[from] align_hub::HubError),
    /// The output directory or the device.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A file that cannot be written.
    #[error(transparent)]
    File(#[from] align_files::Error),
    /// Training: its options, its checkpoints, a loss that is not finite.
    #[error(transparent)]
    Train(#[from] align_train::Error),
    /// A tensor operation.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A request to stop, which ended the run.
    #[error("interrupted; go on with --resume-from-checkpoint {}", checkpoint.display())]
    Interrupted {
        /// The one who asked.
        reason: StopReason,
        /// The checkpoint to go on from.
        checkpoint: PathBuf,
    },
    /// Input that is wrong, found while the job worked: rows that are read when it is their turn, models that are opened then.
    #[error(transparent)]
    LateInput(Box<Self>),
    /// The run ended and its model is saved, but it is not what was asked for.
    #[error("{0}")]
    Outcome(String),
    /// Whoever was told of the run's progress could not take it.
    #[error("{0}")]
    Listener(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An error of the method's own.
    #[error(transparent)]
    Method(Box<dyn std::error::Error + Send + Sync>),
}

/// The kind of an [`Error`]: what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A bad option.
    Option,
    /// Bad data.
    Data,
    /// A bad model.
    Model,
    /// Files, directories, devices, the network.
    Io,
    /// A loss, gradient or figure that is not finite.
    NotFinite,
    /// The run was asked to stop.
    Interrupted,
    /// Anything else.
    Other,
}

impl Error {
    /// An option that is wrong.
    pub fn option(option: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Option { option: option.into(), problem: problem.into() }
    }

    /// An option that has no effect, for the reason in `because`.
    pub fn no_effect(option: impl Into<String>, because: impl Into<String>) -> Self {
        Self::NoEffect { option: option.into(), because: because.into() }
    }

    /// An error of the method's own.
    pub fn method(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Method(error.into())
    }

    /// The same error as one of input that could not be looked at before.
    pub fn late_input(error: impl Into<Self>) -> Self {
        Self::LateInput(Box::new(error.into()))
    }

    /// The option that has no effect beside the others, if that is what is wrong.
    pub fn without_effect(&self) -> Option<&str> {
        match self {
            Self::NoEffect { option, .. } => Some(option),
            Self::Train(align_train::Error::NoEffect { option, .. }) => Some(option),
            Self::Data(align_data::DataError::NoEffect { field, .. }) => Some(field),
            _ => None,
        }
    }

    /// The error's kind: what it is about.
    pub fn kind(&self) -> ErrorKind {
        use align_train::Error as Train;
        match self {
            Self::Option { .. } | Self::NoEffect { .. } | Self::Inputs(_) => ErrorKind::Option,
            Self::Train(Train::Option { .. } | Train::NoEffect { .. }) => ErrorKind::Option,
            Self::Data(_) | Self::Train(Train::NoData) => ErrorKind::Data,
            Self::Model(_) => ErrorKind::Model,
            Self::Hub(_) | Self::Place(_) | Self::File(_) => ErrorKind::Io,
            Self::Train(Train::Io { .. } | Train::OutputDir { .. } | Train::Checkpoint { .. }) => {
                ErrorKind::Io
            }
            Self::Train(Train::NotFinite { .. } | Train::NotMeasured { .. }) => ErrorKind::NotFinite,
            Self::Interrupted { .. } | Self::Train(Train::Interrupted(_)) => ErrorKind::Interrupted,
            Self::LateInput(error) => error.kind(),
            _ => ErrorKind::Other,
        }
    }
}

/// Returns [`Error::Inputs`] with a message, unless a condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Error::Inputs(format!($($message)+)).into());
        }
    };
}
