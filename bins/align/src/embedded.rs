//! The files of the built-in examples: packed into the program, unpacked once into the user's cache directory.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};

/// `data` and `models` of the repository's fixtures.
const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fixtures.tar.gz"));

/// The directory in which the files are. Its name is a hash of what is packed, so that another version has another one; it
/// appears when it is whole.
pub(crate) fn files() -> Result<PathBuf> {
    let hash: String = Sha256::digest(PACKED).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let parent = cache()?.join("candle-align");
    let place = parent.join(format!("fixtures-{hash}"));
    if place.is_dir() {
        return Ok(place);
    }
    let named = |error: Error| Error::new(error.kind(), format!("{}: {error}", parent.display()));
    std::fs::create_dir_all(&parent).map_err(named)?;
    let unfinished = tempfile::Builder::new().prefix("unfinished-").tempdir_in(&parent).map_err(named)?;
    unpack(unfinished.path()).map_err(named)?;
    match std::fs::rename(unfinished.path(), &place) {
        // Somebody else was as quick, and has written the same.
        Err(_) if place.is_dir() => Ok(place),
        moved => moved.map_err(named).map(|()| place),
    }
}

fn unpack(directory: &Path) -> Result<()> {
    tar::Archive::new(GzDecoder::new(PACKED)).unpack(directory)
}

/// The user's cache directory, as the system has it.
fn cache() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || Some(variable("HOME").or_else(|| variable("USERPROFILE"))?.join(".cache"));
    let found = variable("XDG_CACHE_HOME").or_else(|| variable("LOCALAPPDATA")).or_else(home);
    found.ok_or_else(|| Error::other("the system has no cache directory; set XDG_CACHE_HOME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_what_the_repository_has() {
        let dir = tempfile::tempdir().unwrap();
        unpack(dir.path()).unwrap();
        for name in ["data/sft.jsonl", "data/preference/train.jsonl", "models/tiny-chat/model.safetensors"] {
            let packed = std::fs::read(dir.path().join(name)).unwrap();
            assert!(packed == std::fs::read(Path::new("fixtures").join(name)).unwrap(), "{name}");
        }
    }
}
