//! One process at a time: a lock of the operating system's, which ends with the process that holds it, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Bytes of the holder's account of itself that are read.
const ACCOUNT: u64 = 200;

/// Holds a lock file until it is dropped, and removes it then. What a killed process leaves of it locks nothing.
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
        loop {
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
            if !lock(&file).map_err(Error::at(path))? {
                let holder = holder(file);
                return Err(Error::new(path, ErrorKind::ResourceBusy, format!("in use by {holder}")));
            }
            // Its last holder may have removed the file since it was opened; then nobody else would see this lock.
            if !is_still(&file, path) {
                continue;
            }
            // The account is for people; a disk that is full of something else is no reason to refuse.
            let _ = file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| file.write_all(account().as_bytes()));
            return Ok(Self { file, path: path.to_owned() });
        }
    }

    /// The holder of the lock of the file `path` at this moment, if anybody has it. Makes and changes nothing.
    pub fn held_by(path: impl AsRef<Path>) -> Option<String> {
        let found = std::fs::symlink_metadata(path.as_ref()).ok()?;
        let file = if found.is_file() { File::open(path).ok()? } else { return None };
        match lock(&file) {
            Ok(false) => Some(holder(file)),
            Ok(true) | Err(_) => None,
        }
    }

    /// True if the lock file is still the one under its name: whoever moves a directory away, or removes it, takes
    /// the lock along, and another process may have the name.
    pub fn is_in_place(&self) -> bool {
        is_still(&self.file, &self.path)
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // In this order: once it is unlocked another process may have taken it. Where the directory was moved away, the lock
        // of this name is another process's.
        if self.is_in_place() {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = self.file.unlock();
    }
}

/// Whether the lock was free, and is ours now.
fn lock(file: &File) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        // Some network file systems have no locks. Going on without is what everybody else does there.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What a lock file says of who holds it.
fn holder(file: File) -> String {
    let mut account = Vec::new();
    let _ = file.take(ACCOUNT).read_to_end(&mut account);
    let account = String::from_utf8_lossy(&account);
    let holder = account.lines().next().filter(|line| !line.is_empty()).unwrap_or("another process");
    holder.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(unix)]
pub(crate) fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let number = |found: &std::fs::Metadata| (found.dev(), found.ino());
    matches!((file.metadata(), std::fs::metadata(path)), (Ok(one), Ok(two)) if number(&one) == number(&two))
}

/// Where files have no numbers, one that is there counts as the same.
#[cfg(not(unix))]
pub(crate) fn is_still(_: &File, path: &Path) -> bool {
    path.exists()
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
        assert!(Lock::held_by(&path).unwrap().starts_with("process "));
        drop(first);
        assert_eq!((Lock::held_by(&path), path.exists()), (None, false));
        Lock::take(&path).unwrap();
    }

    #[test]
    fn of_many_at_once_one_has_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (path, holders) = (dir.path().join("lock"), std::sync::atomic::AtomicUsize::new(0));
        let count = |by: usize| holders.fetch_add(by, std::sync::atomic::Ordering::SeqCst);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        if let Ok(lock) = Lock::take(&path) {
                            assert_eq!(count(1), 0);
                            count(usize::MAX);
                            drop(lock);
                        }
                    }
                });
            }
        });
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_process_left_locks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        std::fs::write(&path, "process 1 on elsewhere\n").unwrap();
        assert_eq!(Lock::take(&path).unwrap().path(), path);
    }
}
