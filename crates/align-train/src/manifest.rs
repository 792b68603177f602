//! What a checkpoint consists of: every file with its size and SHA-256. Written last, so that a
//! checkpoint without it is not complete, and one that does not match it is damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path};

use align_files::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

pub(crate) const MANIFEST: &str = "MANIFEST.json";

/// Bytes of a manifest that are read: far more than any model has files.
const LIMIT: u64 = 64 << 20;

/// Version of the checkpoint layout. Raise it when an older program could misread a newer checkpoint.
const FORMAT: u32 = 1;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    pub(crate) step: usize,
    /// By path inside the checkpoint, folders separated by `/`.
    files: BTreeMap<String, Entry>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    size: u64,
    sha256: String,
}

impl Manifest {
    /// Of all files in the directory and its folders as they are now.
    pub(crate) fn of(dir: &Path, step: usize) -> Result<Self> {
        let mut files = BTreeMap::new();
        collect(dir, "", &mut |name, path| {
            files.insert(name, entry(path)?);
            Ok(())
        })?;
        files.remove(MANIFEST);
        Ok(Self { format: FORMAT, step, files })
    }

    /// The files that belong to the checkpoint, by their paths in it.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The same, the manifest's own among them.
    pub(crate) fn with_itself(&self) -> Vec<String> {
        self.files().chain([MANIFEST]).map(str::to_owned).collect()
    }

    /// A hash of what all files are.
    pub(crate) fn id(&self) -> String {
        let of_all = serde_json::to_vec(self).unwrap_or_default();
        hex(&Sha256::digest(of_all))
    }

    /// The first file in a folder of the checkpoint in `dir` that does not belong to it.
    pub(crate) fn unlisted_in(&self, dir: &Path, folder: &str) -> Result<Option<String>> {
        let mut found = Vec::new();
        collect(&dir.join(folder), &format!("{folder}/"), &mut |name, _| {
            found.push(name);
            Ok(())
        })?;
        Ok(found.into_iter().filter(|name| !self.files.contains_key(name)).min())
    }

    /// Reads the manifest of a directory in which all files are there and have their sizes. What is in them is not
    /// looked at.
    pub(crate) fn complete(dir: &Path) -> Result<Self> {
        let manifest = Self::read(dir)?;
        for (name, expected) in &manifest.files {
            let file = dir.join(name);
            let found = fs::metadata(&file).map_err(Error::io(&file))?.len();
            if found != expected.size {
                return Err(Error::checkpoint(&file, wrong_size(found, expected.size)));
            }
        }
        Ok(manifest)
    }

    /// Reads the manifest of a directory and compares every file with it.
    pub(crate) fn verified(dir: &Path) -> Result<Self> {
        let manifest = Self::read(dir)?;
        for (name, expected) in &manifest.files {
            let file = dir.join(name);
            let problem = match entry(&file) {
                Ok(found) if found == *expected => continue,
                Ok(found) if found.size != expected.size => wrong_size(found.size, expected.size),
                Ok(_) => "is damaged: its content is not what was saved".to_owned(),
                Err(Error::Io { source, .. }) => format!("is missing or unreadable: {source}"),
                Err(other) => return Err(other),
            };
            return Err(Error::checkpoint(&file, format!("{problem}; use another checkpoint")));
        }
        Ok(manifest)
    }

    fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        let json = match align_files::read(&path, LIMIT) {
            Ok(json) => json,
            Err(error) if matches!(error.source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                let problem = if dir.is_dir() {
                    "is not a complete checkpoint: it has no MANIFEST.json"
                } else {
                    "there is no such checkpoint"
                };
                return Err(Error::checkpoint(dir, problem));
            }
            Err(error) => return Err(error.into()),
        };
        let manifest: Self = serde_json::from_slice(&json)
            .map_err(|error| Error::checkpoint(&path, format!("is damaged: {error}")))?;
        if manifest.format != FORMAT {
            let found = manifest.format;
            return Err(Error::checkpoint(&path, format!("has format {found}; this program reads {FORMAT}")));
        }
        let leads_out =
            |name: &&String| !Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        match manifest.files.keys().find(leads_out) {
            None => Ok(manifest),
            Some(name) => {
                Err(Error::checkpoint(&path, format!("is damaged: `{name}` is no file of a checkpoint")))
            }
        }
    }
}

fn wrong_size(found: u64, expected: u64) -> String {
    format!("is damaged: {found} bytes instead of {expected}")
}

/// Every file of a directory and its folders, by its path in it.
fn collect(dir: &Path, prefix: &str, file: &mut impl FnMut(String, &Path) -> Result<()>) -> Result<()> {
    for item in fs::read_dir(dir).map_err(Error::io(dir))? {
        let item = item.map_err(Error::io(dir))?;
        let path = item.path();
        let found = item.file_name();
        // What would stand for it in a list could be the name of another.
        let Some(name) = found.to_str().map(|name| format!("{prefix}{name}")) else {
            let problem = "has a name that is no text, which no program here writes; remove it";
            return Err(Error::checkpoint(&path, problem));
        };
        if path.is_dir() {
            collect(&path, &format!("{name}/"), file)?;
        } else {
            file(name, &path)?;
        }
    }
    Ok(())
}

fn entry(path: &Path) -> Result<Entry> {
    let hashed = align_files::size_and_sha256(path);
    let (size, sha256) = hashed.map_err(|error| Error::io(path)(error.source))?;
    Ok(Entry { size, sha256 })
}

/// A hash of a file's content.
///
/// # Errors
/// If it cannot be read.
pub fn file_hash(path: &Path) -> Result<String> {
    entry(path).map(|entry| entry.sha256)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn a_name_that_is_no_text_is_part_of_no_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("objective")).unwrap();
        fs::write(dir.path().join("objective/a\u{fffd}"), "").unwrap();
        let manifest = Manifest::of(dir.path(), 1).unwrap();
        assert_eq!(manifest.unlisted_in(dir.path(), "objective").unwrap(), None);
        fs::write(dir.path().join("objective").join(OsStr::from_bytes(b"a\xff")), "").unwrap();
        for error in [
            Manifest::of(dir.path(), 1).err().unwrap(),
            manifest.unlisted_in(dir.path(), "objective").err().unwrap(),
        ] {
            assert!(error.to_string().contains("has a name that is no text"), "{error}");
        }
    }
}
