//! One revision of one repository: which files it has, and those files on disk.
//!
//! Online the hub is asked first which commit a revision is now, so that a stale cache is never used
//! unawares; files of that commit that are already in the cache are not fetched again.

use std::path::PathBuf;

use super::address::encoded;
use super::client::{Client, Failure};
use super::download::{Problem, Wanted, download};
use super::folder::{Folder, is_whole};
use super::listing::{Listing, RemoteFile};
use super::name::{is_commit, is_plain_path};
use super::{Hub, HubError};

/// What a repository holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Model,
    Dataset,
}

/// A repository at one commit.
pub(super) struct Snapshot<'a> {
    hub: &'a Hub,
    kind: Kind,
    pub(super) name: &'a str,
    revision: &'a str,
    folder: Folder,
    /// The files of the repository, as last listed.
    pub(super) files: Vec<RemoteFile>,
    /// Where the files are, or will be.
    pub(super) directory: PathBuf,
    commit: String,
    /// None offline.
    client: Option<Client>,
}

impl Kind {
    fn word(self) -> &'static str {
        if self == Self::Model { "model" } else { "dataset" }
    }

    fn plural(self) -> &'static str {
        if self == Self::Model { "models" } else { "datasets" }
    }

    /// In front of the id in the addresses of pages and files.
    fn prefix(self) -> &'static str {
        if self == Self::Model { "" } else { "datasets/" }
    }
}

impl<'a> Snapshot<'a> {
    /// Asks the hub, or offline the cache, what `revision` of the repository holds.
    pub(super) fn open(hub: &'a Hub, kind: Kind, name: &'a str, revision: &'a str) -> Result<Self, HubError> {
        if !is_plain_path(revision) {
            let (kind, name, revision) = (kind.word(), name.to_owned(), revision.to_owned());
            return Err(HubError::NoRevision { kind, name, revision });
        }
        let mut snapshot = Self {
            hub,
            kind,
            name,
            revision,
            folder: Folder::new(&hub.cache, kind.plural(), name),
            files: Vec::new(),
            directory: PathBuf::new(),
            commit: String::new(),
            client: None,
        };
        if hub.offline {
            let commit = snapshot.folder.commit(revision);
            snapshot.commit =
                commit.ok_or_else(|| snapshot.offline_error(&format!("revision `{revision}`")))?;
            snapshot.files = snapshot.folder.files(&snapshot.commit)?;
        } else {
            let client = Client::new(hub)?;
            let listing = snapshot.list(&client)?;
            snapshot.note(snapshot.folder.keep_listing(&listing));
            (snapshot.commit, snapshot.files) = (listing.sha, listing.siblings);
            snapshot.client = Some(client);
        }
        snapshot.directory = snapshot.folder.snapshot(&snapshot.commit);
        Ok(snapshot)
    }

    /// Has all these files, of which each is listed; offline the revision then is this commit.
    pub(super) fn fetch_all<'f>(&self, paths: impl IntoIterator<Item = &'f str>) -> Result<(), HubError> {
        paths.into_iter().try_for_each(|path| self.fetch(path).map(|_| ()))?;
        if self.client.is_some() {
            self.note(self.folder.keep_commit(self.revision, &self.commit));
        }
        Ok(())
    }

    /// The path of a file that is listed; fetched if the cache lacks it.
    pub(super) fn fetch(&self, path: &str) -> Result<PathBuf, HubError> {
        let file = self.files.iter().find(|file| file.path == path).filter(|_| is_plain_path(path));
        let Some(file) = file else {
            return Err(self.lacks(&format!("`{path}`"), format!("`{path}` is no file of the repository")));
        };
        let local = self.directory.join(path);
        let Some(client) = &self.client else {
            let is_there = is_whole(&local, None);
            return if is_there { Ok(local) } else { Err(self.offline_error(&format!("`{path}`"))) };
        };
        if is_whole(&local, file.size) {
            return Ok(local);
        }
        let place = format!("/{}{}/resolve/{}/{}", self.kind.prefix(), self.name, self.commit, encoded(path));
        let wanted = Wanted {
            name: path,
            path: place,
            size: file.size,
            hash: file.hash(),
            progress: self.hub.progress,
        };
        let blob = download(client, &self.folder, &wanted).map_err(|problem| match problem {
            Problem::Hub(failure) => self.failed(&format!("`{path}`"), failure),
            Problem::Disk(error) => error.into(),
        })?;
        self.folder.link(&blob, &self.commit, path)?;
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
        HubError::Unusable { kind: self.kind.word(), name: self.name.to_owned(), problem }
    }

    fn list(&self, client: &Client) -> Result<Listing, HubError> {
        let what = "no such path on disk, and no list of files";
        // One part of the address, whatever slashes the revision has.
        let revision = encoded(self.revision).replace('/', "%2F");
        let path = format!("/api/{}/{}/revision/{revision}?blobs=true", self.kind.plural(), self.name);
        let text = client.text(&path).map_err(|failure| self.failed(what, failure))?;
        let broken = |problem: String| self.failed(what, Failure::Broken(problem));
        let listing: Listing = serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))?;
        if !is_commit(&listing.sha) {
            let found = &listing.sha;
            return Err(broken(format!("the commit `{found}`, expected 40 hexadecimal digits")));
        }
        Ok(listing)
    }

    /// A cache that takes no notes (it may belong to somebody else) serves all the same, but for offline.
    fn note(&self, noted: align_files::Result<()>) {
        if let Err(error) = noted {
            tracing::warn!("{error}; offline, {} will not be found", self.name);
        }
    }

    fn failed(&self, what: &str, failure: Failure) -> HubError {
        let (kind, name, endpoint) = (self.kind.word(), self.name.to_owned(), self.hub.endpoint.clone());
        let revision = self.revision.to_owned();
        let reason = match failure {
            // The hub answers 401 for what does not exist too, when nobody is signed in.
            Failure::Status(401) if self.hub.token.is_none() && self.files.is_empty() => {
                return HubError::NotFound { kind, name, revision, endpoint };
            }
            Failure::Status(404) if self.files.is_empty() => {
                return HubError::NotFound { kind, name, revision, endpoint };
            }
            Failure::Status(status @ (401 | 403)) => {
                let page = format!("{endpoint}/{}{name}", self.kind.prefix());
                return HubError::NoAccess { kind, name, status, endpoint, page };
            }
            Failure::Status(status) => format!("the hub answers with status {status}"),
            Failure::Broken(reason) => reason,
        };
        HubError::Transfer { kind, name, what: what.to_owned(), endpoint, reason }
    }

    fn offline_error(&self, missing: &str) -> HubError {
        let (kind, name, cache) = (self.kind.word(), self.name.to_owned(), self.hub.cache.clone());
        HubError::Offline { kind, name, missing: missing.to_owned(), cache }
    }
}
