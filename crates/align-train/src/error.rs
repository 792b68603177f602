//! Everything that can go wrong in a training run, each as one message that says where and what to do.

use std::path::{Path, PathBuf};

/// The result of this crate's traits and functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why training could not start, go on or resume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An option has a value that makes no sense.
    #[error("`{option}` = {value}: {problem}")]
    Option {
        /// The option's name as in the configuration file.
        option: &'static str,
        /// The value found.
        value: String,
        /// The rule it breaks, and what to do.
        problem: String,
    },
    /// An option has no effect beside the others.
    #[error("`{option}` = {value}: {problem}")]
    NoEffect {
        /// The option's name as in the configuration file.
        option: &'static str,
        /// The value found.
        value: String,
        /// The reason why, and what to do.
        problem: String,
    },
    /// The output directory cannot be used.
    #[error("{}: {problem}", path.display())]
    OutputDir {
        /// The directory.
        path: PathBuf,
        /// The problem with it, and what to do.
        problem: String,
    },
    /// A checkpoint is missing, incomplete, damaged or of another run.
    #[error("{}: {problem}", path.display())]
    Checkpoint {
        /// The checkpoint or the file in it.
        path: PathBuf,
        /// The problem with it, and what to do.
        problem: String,
    },
    /// Options differ from those that the checkpoint was made with, in a way that rules out resuming.
    #[error("{} was made with other options: {changes}; use the same ones, or start a new run from its weights", path.display())]
    OptionsChanged {
        /// The checkpoint.
        path: PathBuf,
        /// Every changed option with its old and new value.
        changes: String,
    },
    /// A model that is not trained is another than the one the checkpoint was made with.
    #[error(
        "{}: was made with another {models}: its weights are not what they were; put the files back that the run \
         started with, or start a new run from the checkpoint's weights", path.display()
    )]
    ModelsChanged {
        /// The checkpoint.
        path: PathBuf,
        /// The purpose of the models.
        models: String,
    },
    /// The loss or a gradient is not finite. The weights are as they were before the step.
    #[error("step {step}: {what}; rows of the micro-batch: {rows}; the weights were not updated")]
    NotFinite {
        /// The step that was being made, counted from 1.
        step: usize,
        /// The thing that is not finite.
        what: String,
        /// The rows that it comes from.
        rows: String,
    },
    /// A measurement on held-out rows is not finite: no figure can be made of it, and no best model chosen by it.
    #[error(
        "evaluation: `{metric}` is {value}; look at these rows ({rows}), and at the model, whose weights may hold NaN or \
         numbers too large to compute with"
    )]
    NotMeasured {
        /// The figure's name.
        metric: String,
        /// Its value.
        value: f64,
        /// The rows that it comes from.
        rows: String,
    },
    /// The first backward pass did not reach every trainable parameter.
    #[error(
        "the first backward pass wrote no gradient for {count} of {total} trainable parameters: {names}; \
         an operation without a backward pass cuts them off from the loss, or they should not be trainable"
    )]
    Coverage {
        /// Parameters without a gradient.
        count: usize,
        /// Trainable parameters.
        total: usize,
        /// The first few parameters' names.
        names: String,
    },
    /// The metric that the best model is chosen by was not measured.
    #[error(
        "`metric_for_best_model` = {metric}: evaluation measures no such metric; it measures {available}"
    )]
    UnknownMetric {
        /// The metric asked for.
        metric: String,
        /// The metrics that there are.
        available: String,
    },
    /// An epoch without a single micro-batch.
    #[error("the training data is empty: not one micro-batch in an epoch")]
    NoData,
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A checkpoint whose files are what was saved cannot be gone on from: it is of another program.
    #[error("{}: cannot be resumed: {reason}", path.display())]
    Resume {
        /// The checkpoint.
        path: PathBuf,
        /// The error in it.
        reason: Box<Self>,
    },
    /// A request to stop while something was measured.
    #[error("{0}: stopped")]
    Interrupted(crate::StopReason),
    /// Another rank of the run failed, or is gone.
    #[error("{name}: {problem}")]
    Rank {
        /// Its number.
        rank: usize,
        /// Its name, as a person would look it up.
        name: String,
        /// Its error.
        problem: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// An objective, a source of batches or an evaluation failed.
    #[error(transparent)]
    Stage(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Wraps an error of an [`Objective`](crate::Objective), [`Batches`](crate::Batches),
    /// [`Evaluate`](crate::Evaluate) or of the function that saves the model.
    pub fn stage(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Stage(error.into())
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers pass numbers, booleans and literals")]
    pub(crate) fn option(option: &'static str, value: impl ToString, problem: impl Into<String>) -> Self {
        Self::Option { option, value: value.to_string(), problem: problem.into() }
    }

    /// An option that has no effect beside the others: `problem` says why, and what to do.
    #[expect(clippy::needless_pass_by_value, reason = "callers pass numbers, booleans and literals")]
    pub fn no_effect(option: &'static str, value: impl ToString, problem: impl Into<String>) -> Self {
        Self::NoEffect { option, value: value.to_string(), problem: problem.into() }
    }

    /// Wraps an error of whatever reads a checkpoint at the start of a run; for `map_err`.
    pub fn resume(checkpoint: &Path) -> impl FnOnce(Self) -> Self {
        let path = checkpoint.to_owned();
        move |reason| Self::Resume { path, reason: Box::new(reason) }
    }

    /// A rank that failed, or is gone.
    pub fn rank(rank: usize, problem: impl Into<String>) -> Self {
        Self::Rank { rank, name: format!("rank {rank}"), problem: problem.into() }
    }

    pub(crate) fn output_dir(path: &Path, problem: impl Into<String>) -> Self {
        Self::OutputDir { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn checkpoint(path: &Path, problem: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.to_owned(), problem: problem.into() }
    }

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
