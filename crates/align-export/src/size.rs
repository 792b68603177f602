//! A size of files, as people write it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Bytes of a file at most: `5GB`, `500MB`, or bytes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSize(pub u64);

/// The units of transformers, powers of 10 and of 2.
const UNITS: [(&str, u64); 7] = [
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("", 1),
];

impl FromStr for ShardSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.trim().to_uppercase();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(unit, bytes)| Some((upper.strip_suffix(unit)?.trim(), bytes)))
            .unwrap_or((&upper, &1));
        match number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit)) {
            Some(bytes @ 1..) => Ok(Self(bytes)),
            _ => Err("expected a size such as 5GB or 500MB".to_owned()),
        }
    }
}

impl From<&str> for ShardSize {
    /// For defaults, which are sizes.
    fn from(text: &str) -> Self {
        text.parse().unwrap_or(Self(u64::MAX))
    }
}

impl fmt::Display for ShardSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().rev().filter(|(_, bytes)| self.0.is_multiple_of(*bytes));
        let (unit, bytes) = whole.max_by_key(|(_, bytes)| *bytes).unwrap_or(&("", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

impl Serialize for ShardSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_transformers_reads_them() {
        let bytes = |text: &str| text.parse::<ShardSize>().map(|size| size.0);
        assert_eq!(bytes("5GB"), Ok(5_000_000_000));
        assert_eq!(bytes("5 gib"), Ok(5 << 30));
        assert_eq!(bytes("200"), Ok(200));
        for wrong in ["", "GB", "-1", "0", "1.5GB", "99999999999999999999", "99999999999GB", "5XB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        for text in ["5GB", "1MIB", "7", "1500MB"] {
            assert_eq!(text.parse::<ShardSize>().unwrap().to_string(), text);
        }
    }
}
