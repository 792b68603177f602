//! One revision of one repository: which files it has, and those files on disk.
//!
//! Online the hub is asked first which commit a revision is now, so that a stale cache is never used
//! unawares; files of that commit that are already in the cache are not fetched again.

use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};
use serde::{Deserialize, Serialize};

use super::{Hub, HubError};

/// A repository at one commit.
pub(super) struct Snapshot<'a> {
    hub: &'a Hub,
    kind: &'static str,
    name: &'a str,
    revision: &'a str,
    /// The files of the repository, as last listed.
    pub(super) files: Vec<RemoteFile>,
    /// Where the files are, or will be.
    pub(super) directory: PathBuf,
    commit: String,
    remote: Option<ApiRepo>,
}

/// A file as the hub lists it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RemoteFile {
    #[serde(rename = "rfilename")]
    pub(super) path: String,
    size: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<RemoteFile>,
}

impl<'a> Snapshot<'a> {
    /// Asks the hub, or offline the cache, what `revision` of the repository holds.
    pub(super) fn open(
        hub: &'a Hub,
        repo_type: RepoType,
        name: &'a str,
        revision: &'a str,
    ) -> Result<Self, HubError> {
        let kind = if matches!(repo_type, RepoType::Dataset) { "dataset" } else { "model" };
        let repo = Repo::with_revision(name.to_owned(), repo_type, revision.to_owned());
        let folder = hub.cache.join(repo.folder_name());
        let mut snapshot = Self {
            hub,
            kind,
            name,
            revision,
            files: Vec::new(),
            directory: PathBuf::new(),
            commit: String::new(),
            remote: None,
        };
        if hub.offline {
            snapshot.commit = cached_commit(&folder, revision)
                .ok_or_else(|| snapshot.offline_error(&format!("revision `{revision}`")))?;
            snapshot.directory = folder.join("snapshots").join(&snapshot.commit);
            snapshot.files = cached_files(&folder, &snapshot.commit, &snapshot.directory)
                .map_err(|source| HubError::Cache { path: snapshot.directory.clone(), source })?;
        } else {
            let remote = snapshot.api()?.repo(repo);
            let listing = snapshot.list(&remote)?;
            keep_listing(&folder, &listing)?;
            snapshot.directory = folder.join("snapshots").join(&listing.sha);
            (snapshot.commit, snapshot.files) = (listing.sha, listing.siblings);
            snapshot.remote = Some(remote);
        }
        Ok(snapshot)
    }

    /// The path of a file that is listed; fetched if the cache lacks it.
    pub(super) fn fetch(&self, path: &str) -> Result<PathBuf, HubError> {
        let local = self.directory.join(path);
        if local.exists() {
            return Ok(local);
        }
        let Some(remote) = &self.remote else {
            return Err(self.offline_error(&format!("`{path}`")));
        };
        remote.download(path).map_err(|error| self.api_error(&format!("`{path}`"), &error))?;
        self.check_arrival(path, &local)?;
        Ok(local)
    }

    /// The listed file of this path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// The repository does not hold what is needed; offline perhaps only the cache does not.
    pub(super) fn lacks(&self, missing: &str, problem: String) -> HubError {
        if self.hub.offline { self.offline_error(missing) } else { self.unusable(problem) }
    }

    /// The repository holds something that cannot be used.
    pub(super) fn unusable(&self, problem: String) -> HubError {
        HubError::Unusable { kind: self.kind, name: self.name.to_owned(), problem }
    }

    /// hf-hub does not compare what came with what was announced, and the branch may move meanwhile.
    fn check_arrival(&self, path: &str, local: &Path) -> Result<(), HubError> {
        let transfer = |reason: String| self.transfer_error(&format!("`{path}`"), reason);
        let Ok(metadata) = local.metadata() else {
            return Err(transfer(format!("the revision is no longer commit {}; try again", self.commit)));
        };
        let expected = self.files.iter().find(|file| file.path == path).and_then(|file| file.size);
        match expected {
            Some(expected) if expected != metadata.len() => {
                // Gone from the cache, or the next run would take it for complete.
                if let Ok(blob) = local.canonicalize() {
                    let _ = std::fs::remove_file(blob);
                }
                let _ = std::fs::remove_file(local);
                let found = metadata.len();
                Err(transfer(format!("expected {expected} bytes, received {found}; try again")))
            }
            _ => Ok(()),
        }
    }

    fn api(&self) -> Result<Api, HubError> {
        ApiBuilder::from_cache(Cache::new(self.hub.cache.clone()))
            .with_endpoint(self.hub.endpoint.clone())
            .with_token(self.hub.token.clone())
            .with_progress(self.hub.progress)
            .with_user_agent("candle-align", env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|error| self.api_error("the client", &error))
    }

    fn list(&self, remote: &ApiRepo) -> Result<Listing, HubError> {
        let what = "no such path on disk, and no list of files";
        let request =
            remote.info_request().query("blobs", "true").config().http_status_as_error(false).build();
        let mut response = request.call().map_err(|error| self.transfer_error(what, error.to_string()))?;
        match response.status().as_u16() {
            200 => {}
            status => return Err(self.status_error(what, status)),
        }
        response.body_mut().read_json().map_err(|error| self.transfer_error(what, error.to_string()))
    }

    fn api_error(&self, what: &str, error: &ApiError) -> HubError {
        let reason = error.to_string();
        // The type of the transport's error is not ours to name; its message carries the status.
        let status = reason.split("http status: ").nth(1).and_then(|rest| rest.get(..3)?.parse().ok());
        match status {
            Some(status) => self.status_error(what, status),
            None => self.transfer_error(what, reason),
        }
    }

    fn status_error(&self, what: &str, status: u16) -> HubError {
        let (kind, name, endpoint) = (self.kind, self.name.to_owned(), self.hub.endpoint.clone());
        match status {
            // The hub answers 401 for what does not exist too, when nobody is signed in.
            401 if self.hub.token.is_none() && self.files.is_empty() => {
                HubError::NotFound { kind, name, revision: self.revision.to_owned(), endpoint }
            }
            401 | 403 => {
                let folder = if kind == "dataset" { "datasets/" } else { "" };
                let page = format!("{endpoint}/{folder}{name}");
                HubError::NoAccess { kind, name, status, endpoint, page }
            }
            404 if self.files.is_empty() => {
                HubError::NotFound { kind, name, revision: self.revision.to_owned(), endpoint }
            }
            _ => self.transfer_error(what, format!("the hub answers with status {status}")),
        }
    }

    fn transfer_error(&self, what: &str, reason: String) -> HubError {
        let (kind, name, endpoint) = (self.kind, self.name.to_owned(), self.hub.endpoint.clone());
        HubError::Transfer { kind, name, what: what.to_owned(), endpoint, reason }
    }

    fn offline_error(&self, missing: &str) -> HubError {
        let (kind, name, cache) = (self.kind, self.name.to_owned(), self.hub.cache.clone());
        HubError::Offline { kind, name, missing: missing.to_owned(), cache }
    }
}

/// The commit that `revision` was when last seen; a commit's hash is its own revision.
fn cached_commit(folder: &Path, revision: &str) -> Option<String> {
    if let Ok(commit) = std::fs::read_to_string(folder.join("refs").join(revision)) {
        return Some(commit.trim().to_owned());
    }
    folder.join("snapshots").join(revision).is_dir().then(|| revision.to_owned())
}

/// Where the listing of a commit is kept, so that offline a repository fetched in part is not taken for
/// the whole. Other users of the cache do not look at this folder.
fn listing_path(folder: &Path, commit: &str) -> PathBuf {
    folder.join("listings").join(format!("{commit}.json"))
}

fn keep_listing(folder: &Path, listing: &Listing) -> Result<(), HubError> {
    let path = listing_path(folder, &listing.sha);
    let keep = || {
        std::fs::create_dir_all(folder.join("listings"))?;
        crate::report::write_json(&path, listing)
    };
    keep().map_err(|source| HubError::Cache { path: path.clone(), source })
}

/// The listing if there is one; a cache filled by another program shows the files that it has.
fn cached_files(folder: &Path, commit: &str, directory: &Path) -> std::io::Result<Vec<RemoteFile>> {
    let kept = std::fs::read(listing_path(folder, commit)).ok();
    match kept.and_then(|bytes| serde_json::from_slice::<Listing>(&bytes).ok()) {
        Some(listing) => Ok(listing.siblings),
        None => files_below(directory, Path::new("")),
    }
}

fn files_below(root: &Path, below: &Path) -> std::io::Result<Vec<RemoteFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root.join(below))? {
        let path = below.join(entry?.file_name());
        if root.join(&path).is_dir() {
            files.extend(files_below(root, &path)?);
        } else if root.join(&path).exists() {
            files.push(RemoteFile { path: path.to_string_lossy().replace('\\', "/"), size: None });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
