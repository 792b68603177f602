//! What a file must contain: the two hashes that the hub names files by.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::name::is_hexadecimal;

/// The hash of a file's content, which is its name in the cache too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    /// SHA-256, of a large file.
    Sha256(String),
    /// What git calls a small file by: SHA-1 of its length and content.
    Git(String),
}

/// Takes a file as it comes.
pub(super) enum Hasher {
    Sha256(Sha256),
    Git(Sha1),
}

impl Hash {
    /// From its hexadecimal digits, of which there are 64 or 40; nothing else is one.
    pub(super) fn parse(digits: &str) -> Option<Self> {
        match digits.len() {
            64 if is_hexadecimal(digits) => Some(Self::Sha256(digits.to_owned())),
            40 if is_hexadecimal(digits) => Some(Self::Git(digits.to_owned())),
            _ => None,
        }
    }

    /// The digits.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::Git(digits) => digits,
        }
    }

    /// For a file of `size` bytes.
    pub(super) fn hasher(&self, size: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Git(_) => Hasher::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
        }
    }
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Git(hasher) => hasher.update(bytes),
        }
    }

    /// The hash's digits.
    pub(super) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => align_files::hex(&hasher.finalize()),
            Self::Git(hasher) => align_files::hex(&hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_git_and_sha256sum() {
        let hash = |digits: &str, text: &str| {
            let mut hasher = Hash::parse(digits).unwrap().hasher(text.len() as u64);
            hasher.update(text.as_bytes());
            assert_eq!(hasher.finish(), digits, "{text:?}");
        };
        hash("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", ""); // git hash-object /dev/null
        hash("257cc5642cb1a054f08cc83f2d943e56fd3ebe99", "foo\n");
        hash("b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c", "foo\n");
        for other in ["d41d8cd98f00b204e9800998ecf8427e", "", "../../etc/passwd-passwd-passwd-passwd-pas"] {
            assert_eq!(Hash::parse(other), None, "{other}");
        }
    }
}
