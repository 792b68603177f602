//! Hashes of what is in files.

use std::io::Read as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::{Error, Result, open};

/// The size of an ordinary file in bytes, and the SHA-256 of its content in hex; read piece by piece.
///
/// # Errors
/// As [`open`]; a file that cannot be read.
pub fn size_and_sha256(path: impl AsRef<Path>) -> Result<(u64, String)> {
    let path = path.as_ref();
    let mut file = open(path)?;
    let (mut size, mut hash, mut buffer) = (0, Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).map_err(Error::at(path))?;
        if read == 0 {
            return Ok((size, hex(&hash.finalize())));
        }
        hash.update(&buffer[..read]);
        size += read as u64;
    }
}

/// Bytes as two digits each.
///
/// ```
/// assert_eq!(align_files::hex(&[0, 10, 255]), "000aff");
/// ```
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_has_the_hash_that_others_compute() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::size_and_sha256(&path).unwrap(), (3, expected.to_owned()));
        assert!(super::size_and_sha256(dir.path()).is_err());
    }
}
