//! Whether a directory may be used, and as what.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::scratch::HOME;
use crate::written::{Written, ancestors};
use crate::{Error, Lock, Result, Resume};

pub(super) const LOCK: &str = "lock";

/// The use that an output directory is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A new run; nothing is in it.
    New,
    /// A new run in place of what was noted in it.
    Replaces,
    /// The run in it goes on.
    Continues,
    /// Files of known names beside what is there: a report.
    Beside,
}

/// Fails if the directory cannot be written, is in use, or may not be taken. Makes nothing.
pub(super) fn check(path: &Path, overwrite: bool, resume: &Resume) -> Result<Use> {
    check_free(path)?;
    kind(path, overwrite, resume)
}

/// Fails if the directory could not be written, or somebody uses it.
fn check_free(path: &Path) -> Result<()> {
    check_writable(path)?;
    if let Some(holder) = Lock::held_by(path.join(HOME).join(LOCK)) {
        return Err(Error::new(path, ErrorKind::ResourceBusy, format!("in use by {holder}")));
    }
    Ok(())
}

/// Fails if files of these names cannot be put beside what is in the directory: a run wrote such a one, or will.
pub(super) fn check_beside(path: &Path, names: &[&str]) -> Result<()> {
    check_free(path)?;
    let notes = Written::read(path)?.unwrap_or_default();
    match names.iter().find(|name| notes.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let problem = format!("holds a run, whose {name} this would replace; name another directory");
            Err(Error::new(path, ErrorKind::DirectoryNotEmpty, problem))
        }
    }
}

/// What the directory would be taken for.
pub(super) fn kind(path: &Path, overwrite: bool, resume: &Resume) -> Result<Use> {
    if resume.continues(path) {
        return Ok(Use::Continues);
    }
    if !is_occupied(path)? {
        return Ok(Use::New);
    }
    let refused = |problem| Err(Error::new(path, ErrorKind::DirectoryNotEmpty, problem));
    if !overwrite {
        return refused(match (has_checkpoints(path)?, Written::read(path)?.is_some()) {
            (true, _) => {
                "not empty, it may hold another run; name a new directory, continue that run with \
                 `--resume-from-checkpoint`, or replace it with `--overwrite-output-dir`"
            }
            // Nothing could be gone on from.
            (false, true) => {
                "not empty, it holds a run without checkpoints; name a new directory, or replace that run with \
                 `--overwrite-output-dir`"
            }
            (false, false) => "not empty, and no run is known to have written there; name a new directory",
        });
    }
    if let Resume::From(checkpoint) = resume
        && let (Ok(checkpoint), Ok(path)) = (checkpoint.canonicalize(), path.canonicalize())
        && checkpoint.starts_with(path)
    {
        return refused(
            "holds the checkpoint to resume from, which `--overwrite-output-dir` could remove; name another directory",
        );
    }
    if Written::read(path)?.is_none() {
        return refused(
            "holds files and no notes of which of them a run wrote (`.align/written`; versions before had none), so \
             `--overwrite-output-dir` cannot tell what to remove; empty it yourself, or name another directory",
        );
    }
    Ok(Use::Replaces)
}

/// Whether anything but the program's own folder is in it.
fn is_occupied(path: &Path) -> Result<bool> {
    let items = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        items => items.map_err(Error::at(path))?,
    };
    for item in items {
        if item.map_err(Error::at(path))?.file_name() != HOME {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether something in it is called as checkpoints are.
fn has_checkpoints(path: &Path) -> Result<bool> {
    let mut items = fs::read_dir(path).map_err(Error::at(path))?;
    Ok(items.any(|item| item.is_ok_and(|item| item.file_name().to_string_lossy().starts_with("checkpoint-"))))
}

/// Fails if no file could be made in the directory, or in the nearest one above that exists. Makes nothing that stays:
/// the file is anonymous where the system can do that, and gone at once elsewhere.
///
/// # Errors
/// The system's; a file in the way.
pub fn check_writable(path: &Path) -> Result<()> {
    let unwritable =
        |source| Error::new(path, ErrorKind::PermissionDenied, format!("cannot write there: {source}"));
    let here = Path::new(".");
    let above = path.ancestors().map(|above| if above.as_os_str().is_empty() { here } else { above });
    // A directory that may not be looked into does not look as if it were there.
    let existing = above.chain([here]).find(|above| above.exists()).unwrap_or(here);
    if existing.is_file() {
        return Err(unwritable(std::io::Error::other(format!("{} is a file", existing.display()))));
    }
    tempfile::tempfile_in(existing).map(drop).map_err(unwritable)
}

/// What keeps a file from its place.
pub(super) enum Obstacle {
    /// A file, which may be the run's own.
    File,
    /// Something there that is no file, or a file where a folder has to be. No program makes such a thing.
    Shape(PathBuf),
}

/// What stands where the file `path` in `directory` would be written.
pub(super) fn obstacle(directory: &Path, path: &Path) -> Option<Obstacle> {
    let is_no_folder = |folder: &&Path| folder.symlink_metadata().is_ok() && !folder.is_dir();
    if let Some(folder) = ancestors(directory, path).find(is_no_folder) {
        return Some(Obstacle::Shape(folder.to_owned()));
    }
    match path.symlink_metadata() {
        Err(_) => None,
        Ok(found) if found.is_dir() => Some(Obstacle::Shape(path.to_owned())),
        Ok(_) => Some(Obstacle::File),
    }
}

/// The error of an obstacle.
pub(super) fn in_the_way(path: &Path) -> Error {
    let problem =
        "is in the way: a run would write there, and no run wrote it; move it, or name another directory";
    Error::new(path, ErrorKind::AlreadyExists, problem)
}

/// The error of a lock that another process holds, about the directory.
pub(super) fn in_use(path: &Path, error: Error) -> Error {
    match error.source.kind() {
        ErrorKind::ResourceBusy => Error { path: path.to_owned(), ..error },
        _ => error,
    }
}

/// Makes `parent/<stage>-<number>`. Creating a directory either makes it or fails, so of two runs at the same moment one moves
/// on to the next number.
pub(super) fn next_numbered(parent: &Path, stage: &str) -> Result<PathBuf> {
    let number = |name: &str| name.strip_prefix(stage)?.strip_prefix('-')?.parse::<u64>().ok();
    let mut last = 0;
    for entry in fs::read_dir(parent).map_err(Error::at(parent))? {
        let name = entry.map_err(Error::at(parent))?.file_name();
        last = last.max(name.to_str().and_then(number).unwrap_or(0));
    }
    loop {
        // A directory that somebody called by the highest number there is leaves no next one.
        let full =
            || Error::new(parent, ErrorKind::Other, format!("has no number left after {stage}-{last}"));
        last = last.checked_add(1).ok_or_else(full)?;
        let directory = parent.join(format!("{stage}-{last}"));
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::at(directory)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_above_the_highest() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path();
        let next = || next_numbered(parent, "dpo").unwrap().file_name().unwrap().to_owned();
        assert_eq!(next(), "dpo-1");
        for name in ["dpo-7", "sft-9", "dpo-last"] {
            fs::create_dir(parent.join(name)).unwrap();
        }
        assert_eq!(next(), "dpo-8");
        fs::create_dir(parent.join(format!("dpo-{}", u64::MAX))).unwrap();
        let error = next_numbered(parent, "dpo").unwrap_err().to_string();
        assert!(error.contains("has no number left"), "{error}");
    }

    #[test]
    fn runs_that_begin_at_once_get_different_directories() {
        let dir = tempfile::tempdir().unwrap();
        let directories: std::collections::BTreeSet<_> = std::thread::scope(|scope| {
            let make = || scope.spawn(|| next_numbered(dir.path(), "sft").unwrap());
            let runs: Vec<_> = (0..16).map(|_| make()).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert_eq!(directories.len(), 16);
    }
}
