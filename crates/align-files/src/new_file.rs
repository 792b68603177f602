//! A new file that is written piece by piece and has its name when all is there.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::write::{parent, sync, temporary};
use crate::{Error, Result};

/// A file under a random name, in the directory where it is to be. Dropped before [`NewFile::finish`] it is removed.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    content: BufWriter<NamedTempFile>,
}

impl NewFile {
    /// Begins the file `path`, which must not be there.
    ///
    /// # Errors
    /// If it is; if its directory cannot be written to.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.symlink_metadata().is_ok() {
            let problem = "exists; remove it or name another file";
            return Err(Error::new(path, io::ErrorKind::AlreadyExists, problem));
        }
        if path.file_name().is_none() {
            return Err(Error::new(path, io::ErrorKind::InvalidInput, "is no name of a file"));
        }
        let unwritable =
            |error: io::Error| Error::new(path, error.kind(), format!("cannot write there: {error}"));
        let temporary = temporary(parent(path)).map_err(unwritable)?;
        Ok(Self { path: path.to_owned(), content: BufWriter::with_capacity(1 << 16, temporary) })
    }

    /// The name that it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name: all of it is on the disk then.
    ///
    /// # Errors
    /// The system's; if a file of that name has come meanwhile.
    pub fn finish(self) -> Result<()> {
        let Self { path, content } = self;
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
        file.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one\n");
        assert_eq!(count(dir.path()), 1);
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
}
