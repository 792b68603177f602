//! Whole directories in an output directory (checkpoints): made apart and moved into place, moved away and removed.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::OutputDir;
use crate::scratch::{new_scratch, real_directory, tmp};
use crate::{Error, Result, sync_dir};

/// A directory that is being filled, beside its place. Dropped without [`OutputDir::place`], it is removed.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// The path to write to.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl OutputDir {
    /// A new directory for what is to be `name` here.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn scratch(&self, name: &str) -> Result<Scratch> {
        self.check_held()?;
        new_scratch(self.path(), name).map(Scratch)
    }

    /// Leftovers of a killed process: its scratch directories, by the names that they were for.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn leftovers(&self) -> Result<Vec<(String, PathBuf)>> {
        let tmp = tmp(self.path());
        if tmp.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(Vec::new());
        }
        real_directory(&tmp)?;
        let items = fs::read_dir(&tmp).map_err(Error::at(&tmp))?;
        let mut found = Vec::new();
        for item in items {
            let item = item.map_err(Error::at(&tmp))?;
            let name = item.file_name().to_string_lossy().into_owned();
            let name = name.rsplit_once('.').map_or(name.clone(), |(name, _)| name.to_owned());
            found.push((name, item.path()));
        }
        found.sort();
        Ok(found)
    }

    /// Gives a filled directory its place, where a directory of this name may be that a program wrote. Its `files` are noted.
    ///
    /// # Errors
    /// Something else in its place; the system's.
    pub fn place(&self, scratch: Scratch, name: &str, files: &[String]) -> Result<()> {
        // From here on it stays, whatever happens: it is whole.
        self.place_leftover(&scratch.0.keep(), name, files)
    }

    /// As [`OutputDir::place`], for one of the [`OutputDir::leftovers`].
    ///
    /// # Errors
    /// As [`OutputDir::place`].
    pub fn place_leftover(&self, from: &Path, name: &str, files: &[String]) -> Result<()> {
        self.check_held()?;
        let to = self.path().join(name);
        let replaced = self.moved_away(name)?;
        self.claim(files.iter().map(|file| format!("{name}/{file}")))?;
        fs::rename(from, &to).map_err(Error::at(&to))?;
        sync_dir(self.path())?;
        replaced.map_or(Ok(()), |away| away.close().map_err(Error::at(&to)))
    }

    /// Removes a directory in which all files are noted.
    ///
    /// # Errors
    /// A file that is not; the system's.
    pub fn remove_tree(&self, name: &str) -> Result<()> {
        self.check_held()?;
        let path = self.path().join(name);
        if let Some(away) = self.moved_away(name)? {
            away.close().map_err(Error::at(path))?;
        }
        let mut state = self.state();
        state.written.forget(name);
        state.written.write(self.path())
    }

    /// The first file of the directory `name` that no program noted here.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn foreign_in(&self, name: &str) -> Result<Option<String>> {
        let path = self.path().join(name);
        match path.symlink_metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(Some(name.to_owned()).filter(|name| !self.owns(name))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::at(path)(error)),
        }
        let mut names = Vec::new();
        for item in fs::read_dir(&path).map_err(Error::at(&path))? {
            let file = item.map_err(Error::at(&path))?.file_name();
            // No program here writes a name that is no text; and what stands for one would name another file, or none.
            let Some(file) = file.to_str() else {
                return Ok(Some(format!("{name}/{}", file.to_string_lossy())));
            };
            names.push(format!("{name}/{file}"));
        }
        names.sort();
        for name in names {
            if let Some(found) = self.foreign_in(&name)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Moves a directory out of its place, to where it can be removed piece by piece without being taken for a whole one.
    fn moved_away(&self, name: &str) -> Result<Option<TempDir>> {
        let path = self.path().join(name);
        match path.symlink_metadata() {
            Err(_) => return Ok(None),
            Ok(found) if found.is_dir() && self.foreign_in(name)?.is_none() => {}
            Ok(_) => {
                let problem = "is in the way: a run would write there, and no run wrote it; move it";
                return Err(Error::new(path, std::io::ErrorKind::AlreadyExists, problem));
            }
        }
        let away = new_scratch(self.path(), name)?;
        fs::rename(&path, away.path().join("old")).map_err(Error::at(&path))?;
        sync_dir(self.path())?;
        Ok(Some(away))
    }
}
