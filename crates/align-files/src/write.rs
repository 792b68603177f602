//! Atomic writes: a file is complete under its name or not there at all, after a crash of the process and of the machine.
//!
//! Content goes to a new file of a random name in the same directory, is synced, renamed over the name, and the directory
//! is synced. The new file is made exclusively, so a link that lies in wait under a temporary name is never followed, and
//! two writers of one file never share it; on an error it is removed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Replaces or makes the file `path` with these bytes.
///
/// # Errors
/// The system's, about `path`; what stood there before then still does.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_with(path, |file| file.write_all(bytes.as_ref()))
}

/// As [`write()`], with the content of a function that writes it.
///
/// # Errors
/// The system's or that of `content`, about `path`; what stood there before then still does.
pub fn write_with(
    path: impl AsRef<Path>,
    content: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let attempt = || {
        let mut temporary = temporary(parent(path), (".", ".tmp"))?;
        {
            let mut buffer = BufWriter::with_capacity(1 << 20, temporary.as_file_mut());
            content(&mut buffer)?;
            buffer.flush()?;
        }
        if let Ok(replaced) = fs::metadata(path) {
            temporary.as_file().set_permissions(replaced.permissions())?;
        }
        temporary.as_file().sync_all()?;
        temporary.persist(path).map_err(|error| error.error)?;
        sync(parent(path))
    };
    attempt().map_err(Error::at(path))
}

/// As [`write()`], with a value as indented JSON.
///
/// # Errors
/// As [`write()`]; a value that JSON cannot say.
pub fn write_json(path: impl AsRef<Path>, value: &impl serde::Serialize) -> Result<()> {
    write_with(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

/// Makes a directory and those above it, durably. One that is there already is left as it is.
///
/// # Errors
/// The system's, about the directory that cannot be made.
pub fn create_dir_all(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    if path.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    create_dir_all(parent(path))?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.and_then(|()| sync(parent(path))).map_err(Error::at(path)),
    }
}

/// Removes a file if it is there, durably.
///
/// # Errors
/// The system's, about `path`.
pub fn remove(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync(parent(path))).map_err(Error::at(path)),
    }
}

/// Makes what happened to the names in a directory durable.
///
/// # Errors
/// The system's, about `path`.
pub fn sync_dir(path: impl AsRef<Path>) -> Result<()> {
    sync(path.as_ref()).map_err(Error::at(path.as_ref()))
}

/// Makes a directory with everything in it durable.
///
/// # Errors
/// The system's, about the file that it concerns.
pub fn sync_tree(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    for item in fs::read_dir(path).map_err(Error::at(path))? {
        let item = item.map_err(Error::at(path))?.path();
        if item.is_dir() { sync_tree(item)? } else { sync_file(&item).map_err(Error::at(&item))? }
    }
    sync_dir(path)
}

/// Makes the content of a file durable that somebody else wrote.
pub(crate) fn sync_file(path: &Path) -> io::Result<()> {
    // Windows syncs through a handle that may write only; elsewhere a file may be there to be read only.
    let file = if cfg!(windows) { File::options().write(true).open(path) } else { File::open(path) };
    file?.sync_all()
}

/// Some file systems cannot sync a directory, and Windows cannot open one: what they do not offer is not missed.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(directory)?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// With the permissions that every new file of this process gets, not those of a secret. `between` are the ends of the name.
pub(crate) fn temporary(directory: &Path, between: (&str, &str)) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(between.0).suffix(between.1);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What is in a directory, sorted.
    pub(crate) fn names(dir: &Path) -> Vec<String> {
        let name = |item: io::Result<fs::DirEntry>| item.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(dir.path()), ["report.json"]);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_file_as_it_was_and_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        write(&path, "one").unwrap();
        let full = |file: &mut BufWriter<&mut File>| {
            file.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = write_with(&path, full).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(names(dir.path()), ["report.json"]);
        let error = write(dir.path().join("absent/report.json"), "").unwrap_err().to_string();
        assert!(error.contains("absent/report.json"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_under_a_temporary_name_is_not_followed_and_permissions_stay() {
        use std::fs::Permissions;
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("weights"), dir.path().join("other"));
        fs::write(&other, "of somebody else").unwrap();
        for name in ["weights.tmp", ".weights.tmp"] {
            symlink(&other, dir.path().join(name)).unwrap();
        }
        write(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "of somebody else");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), mode(&other), "as any new file");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        write(&path, "newer").unwrap();
        assert_eq!(mode(&path), 0o640);
    }

    #[test]
    fn directories_are_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        create_dir_all(&path).unwrap();
        create_dir_all(&path).unwrap();
        assert!(path.is_dir());
        write(dir.path().join("file"), "").unwrap();
        let error = create_dir_all(dir.path().join("file/below")).unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
        remove(dir.path().join("file")).unwrap();
        remove(dir.path().join("file")).unwrap();
    }
}
