//! A new file that is written piece by piece and has its name when all is there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::lock::is_still;
use crate::unfinished::Unfinished;
use crate::write::{parent, sync, temporary};
use crate::{Error, Result};

/// What the names of temporaries end with. No program but this one has reason to end a name so.
const ENDING: &str = ".align";

/// Characters of a file's name in that of its temporary: a name may be as long as the system allows.
const LONGEST: usize = 50;

/// A file under a random name, in the directory where it is to be. Dropped before [`NewFile::finish`] it is removed.
///
/// It is locked as long as it is being written, so that the next process that writes a file of the same name there knows
/// what a killed one left, and removes it.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    content: BufWriter<NamedTempFile>,
    _unfinished: Unfinished,
}

impl NewFile {
    /// Begins the file `path`, which must not be there.
    ///
    /// # Errors
    /// If it is; if it names a directory; if its directory cannot be written to.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.symlink_metadata().is_ok() {
            let problem = "exists; remove it or name another file";
            return Err(Error::new(path, io::ErrorKind::AlreadyExists, problem));
        }
        // `rows/` and `rows/.` have the file name `rows`, and are directories all the same.
        let given = path.as_os_str().as_encoded_bytes();
        let Some(name) = path.file_name().filter(|name| given.ends_with(name.as_encoded_bytes())) else {
            return Err(Error::new(path, io::ErrorKind::InvalidInput, "is no name of a file, expected one"));
        };
        let beginning: String = name.to_string_lossy().chars().take(LONGEST).collect();
        let beginning = format!(".{beginning}.");
        remove_leftovers(parent(path), &beginning);
        let unwritable =
            |error: io::Error| Error::new(path, error.kind(), format!("cannot write there: {error}"));
        let temporary = locked(parent(path), &beginning).map_err(unwritable)?;
        let place = temporary.path().to_owned();
        let unfinished = Unfinished::new(move || drop(fs::remove_file(place)));
        let content = BufWriter::with_capacity(1 << 16, temporary);
        Ok(Self { path: path.to_owned(), content, _unfinished: unfinished })
    }

    /// The name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is written so far, to be read, also when it has its name.
    ///
    /// # Errors
    /// The system's.
    pub fn reader(&mut self) -> Result<File> {
        let reopen = |content: &mut BufWriter<NamedTempFile>| {
            content.flush()?;
            content.get_ref().reopen()
        };
        reopen(&mut self.content).map_err(Error::at(&self.path))
    }

    /// Gives the file its name: all of it is on the disk then.
    ///
    /// # Errors
    /// The system's; if a file of that name has come meanwhile.
    pub fn finish(self) -> Result<()> {
        let Self { path, content, _unfinished } = self;
        let attempt = || -> io::Result<()> {
            let file = content.into_inner().map_err(io::IntoInnerError::into_error)?;
            File::sync_all(file.as_file())?;
            file.persist_noclobber(&path).map_err(|error| error.error)?;
            sync(parent(&path))
        };
        attempt().map_err(Error::at(&path))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.content.flush()
    }
}

/// A file without a name, to be written and read: it goes with the process, however that ends.
///
/// # Errors
/// The system's, about the directory that it would be in.
pub fn unnamed_in(directory: impl AsRef<Path>) -> Result<File> {
    tempfile::tempfile_in(&directory).map_err(Error::at(directory))
}

/// A temporary that this process has locked.
fn locked(directory: &Path, beginning: &str) -> io::Result<NamedTempFile> {
    loop {
        let temporary = temporary(directory, (beginning, ENDING))?;
        // Where there are no locks nothing is taken for a leftover either.
        let _ = temporary.as_file().try_lock();
        // Before it was locked another process may have taken it for one.
        if is_still(temporary.as_file(), temporary.path()) {
            return Ok(temporary);
        }
    }
}

/// Removes temporaries that no process has locked. One that cannot be looked at or removed is left.
fn remove_leftovers(directory: &Path, beginning: &str) {
    for item in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = item.file_name();
        let is_one = name.to_str().is_some_and(|name| name.starts_with(beginning) && name.ends_with(ENDING));
        if is_one
            && item.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = File::open(item.path())
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(item.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn it_is_there_when_it_is_finished_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"one\n").unwrap();
        assert!(!path.exists() && file.path() == path);
        assert_eq!(io::read_to_string(file.reader().unwrap()).unwrap(), "one\n");
        file.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\n");
        assert_eq!(count(dir.path()), 1);
    }

    #[test]
    fn what_has_no_name_is_no_file_of_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = unnamed_in(dir.path()).unwrap();
        file.write_all(b"rows").unwrap();
        assert_eq!(count(dir.path()), 0);
    }

    #[test]
    fn what_is_dropped_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = NewFile::create(dir.path().join("rows.jsonl")).unwrap();
        file.write_all(&[b'x'; 1 << 20]).unwrap();
        drop(file);
        assert_eq!(count(dir.path()), 0);
    }

    #[test]
    fn a_file_that_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        let early = NewFile::create(&path).unwrap();
        std::fs::write(&path, "of somebody else").unwrap();
        assert!(
            NewFile::create(&path)
                .unwrap_err()
                .to_string()
                .ends_with("exists; remove it or name another file")
        );
        assert!(early.finish().is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "of somebody else");
        assert_eq!(count(dir.path()), 1);
        let error = NewFile::create(dir.path().join("absent/rows.jsonl")).unwrap_err().to_string();
        assert!(error.contains("absent/rows.jsonl: cannot write there: "), "{error}");
    }

    #[test]
    fn what_names_a_directory_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["rows/", "rows/.", "rows//", "..", ""] {
            let path = format!("{}/{name}", dir.path().display());
            let error = NewFile::create(&path).unwrap_err().to_string();
            let expected = if name.is_empty() || name == ".." { "exists" } else { "is no name of a file" };
            assert!(error.contains(expected), "{name}: {error}");
        }
        assert_eq!(count(dir.path()), 0);
    }

    #[test]
    fn what_a_killed_process_left_goes_and_what_another_writes_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in [".rows.jsonl.x1.align", ".rows.jsonl.x2.align", ".other.x1.align", ".rows.jsonl.bak"] {
            fs::write(at(name), "half").unwrap();
        }
        let held = File::open(at(".rows.jsonl.x2.align")).unwrap();
        held.try_lock().unwrap();
        let first = NewFile::create(at("rows.jsonl")).unwrap();
        assert!(!at(".rows.jsonl.x1.align").exists());
        let second = NewFile::create(at("rows.jsonl")).unwrap();
        assert_eq!(count(dir.path()), 5, "both, and what is not a dead process's");
        second.finish().unwrap();
        first.finish().unwrap_err();
        assert_eq!(count(dir.path()), 4);
        NewFile::create(at(&"n".repeat(255))).unwrap();
    }
}
