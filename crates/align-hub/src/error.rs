//! What can go wrong between a name and its files, each with what to do about it.

use std::io;
use std::path::PathBuf;

/// The reason why a model or data set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Neither on disk nor shaped like a hub id.
    #[error("{kind} `{name}`: no such file or directory, and not a hub id (`org/name`)")]
    NoSuchPath {
        /// `model` or `dataset`.
        kind: &'static str,
        /// The name, as the user wrote it.
        name: String,
    },
    /// A path that exists and cannot be a model.
    #[error("model `{}`: {problem}", .path.display())]
    BadModel {
        /// The directory or file.
        path: PathBuf,
        /// The problem with it.
        problem: String,
    },
    /// An environment variable that makes no sense.
    #[error("{variable}: {problem}")]
    Setting {
        /// The variable's name.
        variable: &'static str,
        /// The problem with it, without the value: it may be a secret.
        problem: String,
    },
    /// A revision that no repository has.
    #[error("{kind} `{name}`: revision `{revision}` is neither a branch, a tag nor a commit")]
    NoRevision {
        /// `model` or `dataset`.
        kind: &'static str,
        /// The hub id.
        name: String,
        /// The revision, as the user wrote it.
        revision: String,
    },
    /// Neither on disk nor on the hub.
    #[error(
        "{kind} `{name}`: no such path on disk, and {endpoint} has no {kind} of this name and revision \
         `{revision}` (a private one needs HF_TOKEN)"
    )]
    NotFound {
        /// `model` or `dataset`.
        kind: &'static str,
        /// The hub id.
        name: String,
        /// The revision asked for.
        revision: String,
        /// The hub's address.
        endpoint: String,
    },
    /// The hub refuses: private or gated.
    #[error(
        "{kind} `{name}`: {endpoint} refuses access ({status}); accept its terms at {page} if it is gated, and \
         set HF_TOKEN to a token of an account that may read it"
    )]
    NoAccess {
        /// `model` or `dataset`.
        kind: &'static str,
        /// The hub id.
        name: String,
        /// 401 or 403.
        status: u16,
        /// The hub's address.
        endpoint: String,
        /// The repository's page.
        page: String,
    },
    /// Offline, and the cache does not hold it all.
    #[error(
        "{kind} `{name}`: HF_HUB_OFFLINE is set and {missing} is not in the cache {}; run once online, or name a \
         local path", .cache.display()
    )]
    Offline {
        /// `model` or `dataset`.
        kind: &'static str,
        /// The hub id.
        name: String,
        /// The file or revision that is missing.
        missing: String,
        /// The cache directory.
        cache: PathBuf,
    },
    /// The repository holds nothing that can be used.
    #[error("{kind} `{name}`: {problem}")]
    Unusable {
        /// `model` or `dataset`.
        kind: &'static str,
        /// The hub id.
        name: String,
        /// The part that is missing or wrong.
        problem: String,
    },
    /// A transfer failed.
    #[error("{kind} `{name}`: {what} from {endpoint}: {reason}")]
    Transfer {
        /// `model` or `dataset`.
        kind: &'static str,
        /// The hub id.
        name: String,
        /// The file, or the list of files.
        what: String,
        /// The hub's address.
        endpoint: String,
        /// The transport's words.
        reason: String,
    },
    /// The cache cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl From<align_files::Error> for HubError {
    fn from(error: align_files::Error) -> Self {
        Self::Cache { path: error.path, source: error.source }
    }
}
