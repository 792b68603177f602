//! Where a directory keeps what is not yet, or no longer, part of it: `.align/tmp` in the directory itself, so that moving
//! it into place is a rename. Whatever lies there is this program's, and of a dead process once its lock is free.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Error, Result};

/// This program's own folder in a directory that it writes to.
pub(crate) const HOME: &str = ".align";
const TMP: &str = "tmp";

/// The folder of temporaries of `directory`.
pub(crate) fn tmp(directory: &Path) -> PathBuf {
    directory.join(HOME).join(TMP)
}

/// Makes `.align` in `directory`, unless something else has the name.
pub(crate) fn make_home(directory: &Path) -> Result<PathBuf> {
    let home = directory.join(HOME);
    match fs::create_dir(&home) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => real_directory(&home).map(|()| home),
        made => made.map(|()| home.clone()).map_err(Error::at(home)),
    }
}

/// A new folder of temporaries whose name begins with `name`. It goes when it is dropped.
pub(crate) fn new_scratch(directory: &Path, name: &str) -> Result<TempDir> {
    make_home(directory)?;
    let tmp = tmp(directory);
    match fs::create_dir(&tmp) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => real_directory(&tmp)?,
        made => made.map_err(Error::at(&tmp))?,
    }
    let mut builder = tempfile::Builder::new();
    let name = format!("{name}.");
    builder.prefix(&name);
    // A folder of its owner's alone is tempfile's choice, and would stay so in its place.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    builder.tempdir_in(&tmp).map_err(Error::at(&tmp))
}

/// Removes `.align` if nothing but an empty folder of temporaries is in it.
pub(crate) fn remove_if_empty(home: &Path) {
    let _ = fs::remove_dir(home.join(TMP));
    let _ = fs::remove_dir(home);
}

/// A link is not followed: what it leads to is not ours.
pub(crate) fn real_directory(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Error::new(
            path,
            ErrorKind::NotADirectory,
            "is no directory, and this program keeps its notes in one of that name; move it",
        )),
        Err(error) => Err(Error::at(path)(error)),
    }
}
