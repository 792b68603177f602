//! Which files a commit has, as the hub says it.

use serde::{Deserialize, Serialize};

use super::hash::Hash;

/// The files of one commit.
#[derive(Serialize, Deserialize)]
pub(super) struct Listing {
    /// The commit.
    pub(super) sha: String,
    pub(super) siblings: Vec<RemoteFile>,
}

/// A file as the hub lists it. Its name is a stranger's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RemoteFile {
    #[serde(rename = "rfilename")]
    pub(super) path: String,
    #[serde(default)]
    pub(super) size: Option<u64>,
    #[serde(rename = "blobId", default, skip_serializing_if = "Option::is_none")]
    blob: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs: Option<Lfs>,
}

/// Of a large file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Lfs {
    #[serde(default)]
    sha256: Option<String>,
}

impl RemoteFile {
    /// A file of which nothing but the name is known.
    pub(super) fn unknown(path: String) -> Self {
        Self { path, size: None, blob: None, lfs: None }
    }

    /// What its content must be, if the hub says so. Of a large file `blobId` is the hash of a note in its place.
    pub(super) fn hash(&self) -> Option<Hash> {
        match &self.lfs {
            Some(lfs) => lfs.sha256.as_deref().and_then(Hash::parse),
            None => self.blob.as_deref().and_then(Hash::parse),
        }
    }
}
