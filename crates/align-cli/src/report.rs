//! Results on their way out: JSON files that are whole or absent.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

/// Writes `value` as indented JSON. The file appears complete under its name or not at all: it is
/// written beside it, synced and renamed.
///
/// # Errors
/// The system's, with the path in the message.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(io::Error::from)?;
    bytes.push(b'\n');
    write_atomically(path, &bytes)
}

/// Writes a file that is complete under its name or not there at all.
///
/// What a killed process leaves of it has one name, so that the next write replaces it; for that, two
/// processes may not write the same file at once.
///
/// # Errors
/// The system's, with the path in the message.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&temporary);
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_replaces_the_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        write_json(&path, &serde_json::json!({ "kl": 1.0 })).unwrap();
        write_json(&path, &serde_json::json!({ "kl": 2.5, "accuracy_after": 0.9 })).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\n  \"kl\": 2.5,\n  \"accuracy_after\": 0.9\n}\n");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".report.json.tmp"), "{ \"kl\":").unwrap();
        write_json(&dir.path().join("report.json"), &1).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("absent").join("report.json");
        let error = write_json(&path, &1).unwrap_err();
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    }
}
