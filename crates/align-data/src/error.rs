//! What can go wrong between a file and a micro-batch, each as one sentence for the person who can fix it.
//!
//! Every variant says what was expected, what was found and where. A row is named as `file:line`
//! ([`Origin`]), an option by its key. An error about a row leaves the row out where unusable rows are allowed, and is
//! counted in the [`SourceReport`](crate::SourceReport) or, as rows are that are too long or empty after tokenization, in the
//! [`TokenizeReport`](crate::TokenizeReport).

use std::path::PathBuf;

use crate::guard::shortened;
use crate::layout::LayoutError;
use crate::record::Origin;

/// An error a user of the data can cause and correct.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or directory cannot be read, is not an ordinary one, or is too large.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system or the decompressor.
        source: std::io::Error,
    },
    /// A data set without the wanted split or config.
    #[error("{}: {problem}", path.display())]
    Layout {
        /// The directory.
        path: PathBuf,
        /// What is not there, and what is.
        problem: LayoutError,
    },
    /// A text that names no split and no part of one.
    #[error("split `{}`: {reason}", shortened(split))]
    Split {
        /// The text.
        split: String,
        /// The reason, and what was expected.
        reason: String,
    },
    /// A model that takes token ids for other text than the model whose ids they are.
    #[error("{0}")]
    OtherTokenizer(String),
    /// A data file without a single row.
    #[error("{} holds no rows", .0.display())]
    NoRows(PathBuf),
    /// A line that is not JSON.
    #[error("{origin}: malformed JSON: {reason}; expected one JSON object per line, or one array of objects")]
    Json {
        /// The beginning of the row.
        origin: Origin,
        /// The parser's complaint.
        reason: String,
    },
    /// A column that is missing, of the wrong type, or empty.
    #[error("{origin}: `{field}`: expected {expected}, found {found}")]
    Column {
        /// The row.
        origin: Origin,
        /// The column, or a path into it such as `chosen[2].role`.
        field: String,
        /// The value that would have been right.
        expected: String,
        /// The value that is there.
        found: String,
    },
    /// Parallel lists that do not line up.
    #[error(
        "lists of unequal length: {prompts} prompts, {chosen} chosen, {rejected} rejected; \
             every prompt needs one chosen and one rejected answer"
    )]
    UnequalLists {
        /// Number of prompts.
        prompts: usize,
        /// Number of chosen answers.
        chosen: usize,
        /// Number of rejected answers.
        rejected: usize,
    },
    /// The tokenizer's files are missing or inconsistent.
    #[error("{}: {reason}", path.display())]
    Tokenizer {
        /// The offending file.
        path: PathBuf,
        /// The problem with it, and what to do.
        reason: String,
    },
    /// A chat template that does not compile.
    #[error("chat template of {}: {reason}", path.display())]
    Template {
        /// The directory or file the template came from.
        path: PathBuf,
        /// The template engine's complaint.
        reason: String,
    },
    /// A row that the chat template or the tokenizer cannot process.
    #[error("{origin}: {reason}")]
    Row {
        /// The row.
        origin: Origin,
        /// The problem, and what to do.
        reason: String,
    },
    /// A row that says of its answers that none is better, where one has to be. No fault: it is left out.
    #[error("{origin}: no preference: {reason}")]
    NoPreference {
        /// The row.
        origin: Origin,
        /// What it says instead.
        reason: String,
    },
    /// More unusable rows than are allowed.
    #[error("{first}; at least {bad} of {rows} rows cannot be used, expected at most {} % (max_bad_rows = {most})", 100.0 * most)]
    BadRows {
        /// What is wrong with the first of them.
        first: Box<Self>,
        /// How many were found.
        bad: usize,
        /// All rows.
        rows: usize,
        /// The share that is allowed.
        most: f64,
    },
    /// Tokenization left nothing to train on.
    #[error("none of the {rows} rows is usable after tokenization: {reasons}")]
    AllRowsDropped {
        /// Rows that went in.
        rows: usize,
        /// The counted reasons.
        reasons: String,
    },
    /// An option whose value makes no sense.
    #[error("{field}: {rule}, found {value}")]
    Option {
        /// The option's key.
        field: &'static str,
        /// The rule it breaks.
        rule: String,
        /// The value given.
        value: String,
    },
    /// An option that has no effect beside the others.
    #[error("{field}: {rule}, found {value}")]
    NoEffect {
        /// The option's key.
        field: &'static str,
        /// The reason why, and what to do.
        rule: String,
        /// The value given.
        value: String,
    },
    /// A file of token ids that cannot be written, or that is not what was written.
    #[error("token ids in {}: {problem}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// The problem, and what to do.
        problem: String,
    },
    /// A saved cursor that does not fit the data.
    #[error(
        "the saved data cursor stands at row {position} of an epoch, but there are only {items} rows; \
             the data changed since the checkpoint was written"
    )]
    Cursor {
        /// Position in the saved cursor.
        position: usize,
        /// Rows there are now.
        items: usize,
    },
}

impl DataError {
    /// What makes a row unusable, in words that are the same for all such rows; none if it is no error about a row.
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Column { field, expected, .. } => {
                Some(format!("`{}`: expected {expected}", without_places(field)))
            }
            Self::NoPreference { reason, .. } => Some(format!("no preference: {reason}")),
            // What is quoted of a row is its own.
            Self::Row { reason, .. } => {
                let end = reason.find(['"', ';']).unwrap_or(reason.len());
                let place_less = without_places(reason[..end].trim_end_matches([' ', ':']));
                Some(place_less.replace("turn :", "a turn:"))
            }
            _ => None,
        }
    }
}

/// A text without the numbers of places in it (`chosen[2].role`, `turn 3`), and at most of a line's length.
fn without_places(text: &str) -> String {
    let mut out = String::new();
    let mut in_place = false;
    for c in text.chars().take(120) {
        in_place = c.is_ascii_digit() && (in_place || out.ends_with('[') || out.ends_with("turn "));
        if !in_place {
            out.push(c);
        }
    }
    out
}

/// `Result` with this crate's error.
pub type Result<T> = std::result::Result<T, DataError>;

impl From<align_gguf::Error> for DataError {
    fn from(error: align_gguf::Error) -> Self {
        match error {
            align_gguf::Error::Io { path, source } => Self::Read { path, source },
            align_gguf::Error::Invalid { path, problem } => Self::Tokenizer { path, reason: problem },
        }
    }
}

impl From<align_files::Error> for DataError {
    fn from(error: align_files::Error) -> Self {
        Self::Read { path: error.path, source: error.source }
    }
}
