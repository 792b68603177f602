//! Several files that belong together: written apart, moved into place when all are whole.
//!
//! A rename replaces one file; nothing replaces several at once. So one of them is the key, without which the others are
//! worth nothing to a reader (`config.json` of a model, `report.json` of a report): it is removed before the first of the
//! others moves and comes back after the last. A process that is killed in between leaves files without their key, which
//! every reader notices, and never new weights beside an old config.

use std::fs::{self, File, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::scratch::{HOME, new_scratch, remove_if_empty};
use crate::unfinished::{Unfinished, changing};
use crate::{Error, Result, remove, sync_dir, write::sync_file};

/// Files on their way into a directory. Dropped without [`Staged::commit`], nothing has happened there.
#[derive(Debug)]
pub struct Staged {
    directory: PathBuf,
    stage: Option<TempDir>,
    _unfinished: Unfinished,
}

impl Staged {
    /// Begins a set of files for `directory`, which exists.
    ///
    /// # Errors
    /// If nothing can be written there.
    pub fn new(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref().to_owned();
        let stage = new_scratch(&directory, "files")?;
        let (files, home) = (stage.path().to_owned(), directory.join(HOME));
        let unfinished = Unfinished::new(move || {
            let _ = fs::remove_dir_all(files);
            remove_if_empty(&home);
        });
        Ok(Self { directory, stage: Some(stage), _unfinished: unfinished })
    }

    /// The path at which the files are to be written, by any means, under their own names.
    pub fn path(&self) -> &Path {
        self.stage.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Moves the files into their directory, the `key` last, and removes those of the `stale` names there that were not
    /// written: they are of what stood there before.
    ///
    /// # Errors
    /// The system's, about the file that could not be moved. Before the first move the old files are as they were; so they
    /// are where a folder is in the place of one.
    pub fn commit(self, key: &str, stale: &[&str]) -> Result<()> {
        let names = self.ready()?;
        let stale = stale.iter().copied().filter(|stale| !names.iter().any(|name| name == stale));
        let stale: Vec<&str> = stale.collect();
        for name in names.iter().map(String::as_str).chain([key]).chain(stale.iter().copied()) {
            let place = self.directory.join(name);
            if place.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                return Err(Error::new(
                    place,
                    io::ErrorKind::IsADirectory,
                    "is a folder, expected a file; move it",
                ));
            }
        }
        self.exchange(&names, key, &stale)
    }

    /// The moves.
    fn exchange(&self, names: &[String], key: &str, stale: &[&str]) -> Result<()> {
        let _whole = changing();
        let (last, others): (Vec<&String>, Vec<_>) = names.iter().partition(|name| *name == key);
        let place = |name: &String| {
            let to = self.directory.join(name);
            fs::rename(self.path().join(name), &to).map_err(Error::at(to))
        };
        remove(self.directory.join(key))?;
        others.into_iter().try_for_each(place)?;
        stale.iter().try_for_each(|name| remove(self.directory.join(name)))?;
        sync_dir(&self.directory)?;
        last.into_iter().try_for_each(place)?;
        sync_dir(&self.directory)
    }

    /// Gives every file the permissions of the one that it replaces, or of any new file, and syncs it. Their names.
    fn ready(&self) -> Result<Vec<String>> {
        let new = new_file_permissions(self.path()).map_err(Error::at(&self.directory))?;
        let mut names = Vec::new();
        for item in fs::read_dir(self.path()).map_err(Error::at(self.path()))? {
            let item = item.map_err(Error::at(self.path()))?;
            let name = item.file_name().into_string().map_err(|name| {
                let problem = "has a name that is no text";
                Error::new(self.directory.join(name), io::ErrorKind::InvalidFilename, problem)
            })?;
            let to = self.directory.join(&name);
            let replaced = fs::metadata(&to).map(|file| file.permissions());
            let permissions = replaced.unwrap_or_else(|_| new.clone());
            let ready = fs::set_permissions(item.path(), permissions).and_then(|()| sync_file(&item.path()));
            ready.map_err(Error::at(&to))?;
            names.push(name);
        }
        names.sort();
        sync_dir(self.path())?;
        Ok(names)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        drop(self.stage.take());
        remove_if_empty(&self.directory.join(HOME));
    }
}

/// What a file gets that this process makes. A file that was copied may be read-only, one of a library its owner's alone.
fn new_file_permissions(directory: &Path) -> io::Result<Permissions> {
    let probe = directory.join(".probe");
    let permissions = File::create_new(&probe)?.metadata()?.permissions();
    fs::remove_file(probe)?;
    Ok(permissions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::tests::names;

    #[test]
    fn a_set_replaces_a_set_and_keeps_nothing_of_it() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["config.json", "template", "notes.txt"] {
            fs::write(dir.path().join(name), "old").unwrap();
        }
        let staged = Staged::new(dir.path()).unwrap();
        for name in ["config.json", "weights"] {
            fs::write(staged.path().join(name), "new").unwrap();
        }
        assert_eq!(fs::read_to_string(dir.path().join("config.json")).unwrap(), "old");
        staged.commit("config.json", &["template", "weights"]).unwrap();
        assert_eq!(names(dir.path()), ["config.json", "notes.txt", "weights"]);
        assert_eq!(fs::read_to_string(dir.path().join("config.json")).unwrap(), "new");
    }

    #[test]
    fn what_is_given_up_leaves_the_old_set() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), "old").unwrap();
        let staged = Staged::new(dir.path()).unwrap();
        fs::write(staged.path().join("config.json"), "half").unwrap();
        drop(staged);
        assert_eq!(names(dir.path()), ["config.json"]);
        assert_eq!(fs::read_to_string(dir.path().join("config.json")).unwrap(), "old");
    }

    #[test]
    fn a_folder_in_the_place_of_a_file_is_found_before_anything_moves() {
        for place in ["weights", "config.json", "template"] {
            let dir = tempfile::tempdir().unwrap();
            for name in ["config.json", "a", "weights", "template"] {
                fs::write(dir.path().join(name), "old").unwrap();
            }
            fs::remove_file(dir.path().join(place)).unwrap();
            fs::create_dir(dir.path().join(place)).unwrap();
            let staged = Staged::new(dir.path()).unwrap();
            for name in ["config.json", "a", "weights"] {
                fs::write(staged.path().join(name), "new").unwrap();
            }
            let error = staged.commit("config.json", &["template"]).unwrap_err().to_string();
            assert!(error.contains(&format!("{place}: is a folder")), "{error}");
            assert_eq!(names(dir.path()), ["a", "config.json", "template", "weights"]);
            assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "old", "{place}");
        }
    }

    /// The state in which a process that is killed between two moves leaves the directory.
    #[test]
    fn between_two_moves_the_key_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), "old").unwrap();
        let staged = Staged::new(dir.path()).unwrap();
        for name in ["config.json", "a"] {
            fs::write(staged.path().join(name), "new").unwrap();
        }
        // A file that vanished from the stage makes its move fail, after the key was removed.
        let ready = ["a", "config.json", "weights"].map(str::to_owned);
        let error = staged.exchange(&ready, "config.json", &[]).unwrap_err().to_string();
        assert!(error.contains("weights: "), "{error}");
        drop(staged);
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_the_file_replaced_or_of_a_new_one() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        fs::write(dir.path().join("other"), "").unwrap();
        fs::write(dir.path().join("kept"), "").unwrap();
        fs::set_permissions(dir.path().join("kept"), Permissions::from_mode(0o640)).unwrap();
        let staged = Staged::new(dir.path()).unwrap();
        for name in ["kept", "secret"] {
            fs::write(staged.path().join(name), "").unwrap();
            fs::set_permissions(staged.path().join(name), Permissions::from_mode(0o400)).unwrap();
        }
        staged.commit("kept", &[]).unwrap();
        assert_eq!((mode("kept"), mode("secret")), (0o640, mode("other")));
    }
}
