//! Reading within bounds: a device or a pipe under a file's name, and a file that is larger than anything of its kind, are
//! errors and neither a wait nor the machine's memory.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use crate::{Error, Result};

/// Opens an ordinary file for reading.
///
/// # Errors
/// The system's; a directory, a device, a pipe or a socket, which are not opened.
pub fn open(path: impl AsRef<Path>) -> Result<File> {
    let path = path.as_ref();
    // Looked at before it is opened: opening a pipe would wait for somebody who writes.
    let metadata = std::fs::metadata(path).map_err(Error::at(path))?;
    if metadata.is_dir() {
        return Err(Error::new(path, ErrorKind::IsADirectory, "is a directory, expected a file"));
    }
    if !metadata.is_file() {
        let problem = "is a device, a pipe or a socket, expected an ordinary file";
        return Err(Error::new(path, ErrorKind::InvalidInput, problem));
    }
    File::open(path).map_err(Error::at(path))
}

/// The content of an ordinary file of at most `limit` bytes.
///
/// # Errors
/// As [`open`]; a file above the limit, of which nothing is read.
pub fn read(path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>> {
    let path = path.as_ref();
    let file = open(path)?;
    let size = file.metadata().map_err(Error::at(path))?.len();
    let mut bytes = Vec::new();
    if size <= limit {
        // What is said of the size may be wrong (`/proc`), so the limit holds for what comes, too.
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::at(path))?;
    }
    let found = size.max(bytes.len() as u64);
    if found > limit {
        let problem = format!("has {found} bytes or more, expected at most {limit}");
        return Err(Error::new(path, ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// As [`read`], as text.
///
/// # Errors
/// As [`read`]; bytes that are not UTF-8.
pub fn read_to_string(path: impl AsRef<Path>, limit: u64) -> Result<String> {
    let path = path.as_ref();
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(path, ErrorKind::InvalidData, format!("is not UTF-8 text (byte {at})"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, "{ }").unwrap();
        assert_eq!(read_to_string(&path, 3).unwrap(), "{ }");
        let error = read(&path, 2).unwrap_err().to_string();
        assert!(error.contains("config.json: has 3 bytes or more, expected at most 2"), "{error}");
        std::fs::write(&path, [b'a', 0xff]).unwrap();
        assert!(read_to_string(&path, 9).unwrap_err().to_string().ends_with("is not UTF-8 text (byte 1)"));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let refused = |path: &str| read(path, 10).unwrap_err().to_string();
        assert_eq!(
            refused("/dev/zero"),
            "/dev/zero: is a device, a pipe or a socket, expected an ordinary file"
        );
        assert!(refused("/tmp").starts_with("/tmp: is a directory"));
        assert!(refused("/absent").starts_with("/absent: No such file"));
    }
}
