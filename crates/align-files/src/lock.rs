//! One process at a time: a lock of the operating system's, which ends with the process that holds it, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Bytes of the holder's account of itself that are read.
const ACCOUNT: u64 = 200;

/// Holds a lock file until it is dropped. The file stays: removing it would let a second process lock a new one of the
/// same name while a third still waits for the old.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock of the file `path`, which is made if it is not there, and writes the process and its host into it, for
    /// people to read.
    ///
    /// # Errors
    /// If another process holds it ([`ErrorKind::ResourceBusy`], with the holder's account), or the file cannot be made.
    pub fn take(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        // A link is not followed: what it leads to is not ours to write into.
        if std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(Error::new(
                path,
                ErrorKind::InvalidInput,
                "is no ordinary file, expected a lock file",
            ));
        }
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.map_err(Error::at(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut account = Vec::new();
                let _ = file.take(ACCOUNT).read_to_end(&mut account);
                let account = String::from_utf8_lossy(&account);
                let holder =
                    account.lines().next().filter(|line| !line.is_empty()).unwrap_or("another process");
                let holder: String = holder.chars().filter(|c| !c.is_control()).collect();
                return Err(Error::new(path, ErrorKind::ResourceBusy, format!("in use by {holder}")));
            }
            // Some network file systems have no locks. Going on without is what everybody else does there.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(error)) => return Err(Error::at(path)(error)),
        }
        // The account is for people; a disk that is full of something else is no reason to refuse.
        let _ =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(account().as_bytes()));
        Ok(Self { file, path: path.to_owned() })
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

fn account() -> String {
    let host = std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_owned());
    let host = host.filter(|name| !name.is_empty()).or_else(|| std::env::var("HOSTNAME").ok());
    format!("process {} on {}\n", std::process::id(), host.as_deref().unwrap_or("this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let first = Lock::take(&path).unwrap();
        let error = Lock::take(&path).unwrap_err();
        assert_eq!(error.source.kind(), ErrorKind::ResourceBusy);
        assert!(error.to_string().contains(&format!("in use by process {}", std::process::id())), "{error}");
        drop(first);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn what_a_dead_process_left_locks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        std::fs::write(&path, "process 1 on elsewhere\n").unwrap();
        assert_eq!(Lock::take(&path).unwrap().path(), path);
    }
}
