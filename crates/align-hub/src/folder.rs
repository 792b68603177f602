//! A repository's folder of the cache, in the layout that Python's `huggingface_hub` has too: `blobs/HASH` are contents,
//! `snapshots/COMMIT/PATH` links to them, `refs/BRANCH` says which commit a branch was.
//!
//! Nothing is written outside of it, whatever links lie in it, and a file has its name only once it is whole.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use align_files::{Error, Lock, Result};

use super::client::LONGEST_LISTING;
use super::listing::{Listing, RemoteFile};
use super::name::{is_commit, is_plain_path};

/// The longest name of a commit that is read, in bytes.
const REF: u64 = 1000;
/// Between two looks at a lock.
const WAIT: Duration = Duration::from_millis(500);

/// Where the files of one repository are.
pub(super) struct Folder {
    cache: PathBuf,
    /// Such as `models--org--name`.
    name: String,
}

impl Folder {
    /// Of the repository `id`, one of the `models` or `datasets`. Nothing is made yet.
    pub(super) fn new(cache: &Path, kinds: &str, id: &str) -> Self {
        Self { cache: cache.to_owned(), name: format!("{kinds}--{}", id.replace('/', "--")) }
    }

    fn path(&self) -> PathBuf {
        self.cache.join(&self.name)
    }

    /// The directory of a commit's files.
    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.path().join("snapshots").join(commit)
    }

    /// The directory of contents, which is made.
    pub(super) fn blobs(&self) -> Result<PathBuf> {
        directory(&self.path(), "blobs")
    }

    /// Waits until no other process, Python's included, fetches the content of this name.
    pub(super) fn lock(&self, name: &str) -> Result<Lock> {
        let locks = directory(&self.cache, &format!(".locks/{}", self.name))?;
        let path = locks.join(format!("{name}.lock"));
        let mut is_said = false;
        loop {
            match Lock::take(&path) {
                Err(error) if error.source.kind() == ErrorKind::ResourceBusy => {
                    if !std::mem::replace(&mut is_said, true) {
                        tracing::info!("{error}; waiting for its download");
                    }
                    std::thread::sleep(WAIT);
                }
                taken => return taken,
            }
        }
    }

    /// Gives the content `blob` the name `path` in a commit's directory: by a link, or a copy where there are no links.
    pub(super) fn link(&self, blob: &Path, commit: &str, path: &str) -> Result<()> {
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let parent = directory(&self.path(), &format!("snapshots/{commit}/{above}"))?;
        let local = self.snapshot(commit).join(path);
        let up = "../".repeat(path.split('/').count() + 1);
        let target = format!("{up}blobs/{}", blob.file_name().unwrap_or_default().to_string_lossy());
        // Under another name first: what lies under this one is replaced, and never followed.
        let linked = tempfile::Builder::new().make_in(&parent, |temporary| symlink(&target, temporary));
        match linked {
            Ok(link) => {
                link.into_temp_path().persist(&local).map_err(|error| Error::at(&local)(error.error))?;
                align_files::sync_dir(&parent)
            }
            Err(_) => align_files::write_with(&local, |copy| {
                std::io::copy(&mut fs::File::open(blob)?, copy).map(|_| ())
            }),
        }
    }

    /// The commit that `revision` was when last seen; a commit is its own revision.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        let kept = align_files::read_to_string(self.path().join("refs").join(revision), REF).ok();
        match kept.map(|commit| commit.trim().to_owned()).filter(|commit| is_commit(commit)) {
            Some(commit) => Some(commit),
            None => (is_commit(revision) && self.snapshot(revision).is_dir()).then(|| revision.to_owned()),
        }
    }

    /// Notes for offline which commit `revision` is.
    pub(super) fn keep_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let (above, name) = revision.rsplit_once('/').unwrap_or(("", revision));
        align_files::write(directory(&self.path(), &format!("refs/{above}"))?.join(name), commit)
    }

    /// Notes for offline which files a commit has, so that a repository fetched in part is not taken for the whole. Other
    /// users of the cache do not look at this folder.
    pub(super) fn keep_listing(&self, listing: &Listing) -> Result<()> {
        let name = format!("{}.json", listing.sha);
        let bytes = serde_json::to_vec_pretty(listing).unwrap_or_default();
        let path = self.path().join("listings").join(&name);
        if align_files::read(path, LONGEST_LISTING).is_ok_and(|kept| kept == bytes) {
            return Ok(());
        }
        align_files::write(directory(&self.path(), "listings")?.join(name), bytes)
    }

    /// The files of a commit as they were listed; those that there are where another program filled the cache.
    pub(super) fn files(&self, commit: &str) -> Result<Vec<RemoteFile>> {
        let path = self.path().join("listings").join(format!("{commit}.json"));
        let kept = align_files::read(path, LONGEST_LISTING).ok();
        match kept.and_then(|bytes| serde_json::from_slice::<Listing>(&bytes).ok()) {
            Some(listing) => Ok(listing.siblings),
            None => {
                let mut files = Vec::new();
                collect(&self.snapshot(commit), "", &mut files)?;
                files.sort_by(|a, b| a.path.cmp(&b.path));
                Ok(files)
            }
        }
    }
}

/// Whether a file is there with this many bytes, where it is known how many it has.
pub(super) fn is_whole(path: &Path, size: Option<u64>) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && size.is_none_or(|size| size == found.len()))
}

/// Makes the directory `below` of `root`, step by step: a link on the way could lead anywhere.
fn directory(root: &Path, below: &str) -> Result<PathBuf> {
    let mut path = root.to_owned();
    align_files::create_dir_all(&path)?;
    for part in below.split('/').filter(|part| !part.is_empty()) {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                let problem = "is a link or a file, expected a directory of the cache; remove it";
                return Err(Error::new(&path, ErrorKind::NotADirectory, problem));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => align_files::create_dir_all(&path)?,
            Err(error) => return Err(Error::at(&path)(error)),
        }
    }
    Ok(path)
}

#[cfg(unix)]
fn symlink(target: &str, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &str, link: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target.replace('/', "\\"), link)
}

fn collect(root: &Path, below: &str, files: &mut Vec<RemoteFile>) -> Result<()> {
    let directory = root.join(below);
    for entry in fs::read_dir(&directory).map_err(Error::at(&directory))? {
        let entry = entry.map_err(Error::at(&directory))?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(root, &path, files)?;
        } else if is_plain_path(&path) && entry.path().is_file() {
            files.push(RemoteFile::unknown(path));
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_cache_leads_nothing_out_of_it() {
        let (cache, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = Folder::new(cache.path(), "models", "org/tiny");
        let commit = "0".repeat(40);
        fs::create_dir_all(folder.snapshot(&commit)).unwrap();
        for link in [format!("snapshots/{commit}/data"), "blobs".into(), "refs".into(), "listings".into()] {
            std::os::unix::fs::symlink(outside.path(), folder.path().join(link)).unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), cache.path().join(".locks")).unwrap();
        let refused = [
            folder.link(Path::new("x"), &commit, "data/train.jsonl"),
            folder.blobs().map(|_| ()),
            folder.keep_commit("main", &commit),
            folder.keep_listing(&Listing { sha: commit.clone(), siblings: Vec::new() }),
            folder.lock("x").map(|_| ()),
        ];
        for answer in refused {
            assert!(answer.unwrap_err().to_string().contains("is a link or a file"));
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_under_a_files_name_is_replaced_and_not_followed() {
        let cache = tempfile::tempdir().unwrap();
        let folder = Folder::new(cache.path(), "models", "org/tiny");
        let (commit, other) = ("0".repeat(40), cache.path().join("other"));
        fs::write(&other, "of somebody else").unwrap();
        let blob = folder.blobs().unwrap().join("hash");
        fs::write(&blob, "new").unwrap();
        fs::create_dir_all(folder.snapshot(&commit).join("a")).unwrap();
        let local = folder.snapshot(&commit).join("a/b.json");
        std::os::unix::fs::symlink(&other, &local).unwrap();
        folder.link(&blob, &commit, "a/b.json").unwrap();
        assert_eq!(fs::read_to_string(&local).unwrap(), "new");
        assert_eq!(fs::read_link(&local).unwrap(), Path::new("../../../blobs/hash"));
        assert_eq!(fs::read_to_string(&other).unwrap(), "of somebody else");
        assert_eq!(fs::read_dir(local.parent().unwrap()).unwrap().count(), 1);
    }
}
