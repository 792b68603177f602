//! Files that PyArrow and `datasets` wrote (`tests/fixtures/sources/make.py`), and files that somebody damaged.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::super::stream::Rows;
use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sources").join(name)
}

fn columns(path: &Path) -> crate::Result<Vec<Map<String, Value>>> {
    Rows::of_split(&path.into(), "train")?.map(|row| Ok(row?.columns)).collect()
}

#[test]
fn every_type_and_codec_gives_the_rows_of_the_lines() {
    let expected = columns(&fixture("types.jsonl")).unwrap();
    assert_eq!(expected.len(), 5);
    for kind in ["none", "snappy", "gzip", "zstd", "lz4", "v2", "plain", "delta"] {
        let rows = columns(&fixture(&format!("types-{kind}.parquet"))).unwrap();
        assert_eq!(rows.len(), expected.len(), "{kind}");
        for (row, expected) in rows.iter().zip(&expected) {
            for (name, value) in expected {
                assert_eq!(row.get(name), Some(value), "{kind}: {name}");
            }
            assert_eq!(row, expected, "{kind}");
        }
    }
    assert_eq!(columns(&fixture("pairs.parquet")).unwrap(), columns(&fixture("pairs.jsonl")).unwrap());
}

#[test]
fn rows_are_numbered_across_row_groups() {
    let rows = Rows::of_split(&fixture("pairs.parquet").into(), "train").unwrap();
    let origins: Vec<usize> = rows.map(|row| row.unwrap().origin.line()).collect();
    assert_eq!(origins, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(count(&fixture("pairs.parquet")).unwrap(), 9);
}

#[test]
fn what_is_not_read_is_refused_by_name() {
    let refused = |name: &str| columns(&fixture(name)).unwrap_err().to_string();
    let error = refused("types-brotli.parquet");
    assert!(error.contains("types-brotli.parquet:1: cannot be read") && error.contains("brotli"), "{error}");
    assert!(refused("delta-strings.parquet").contains("DELTA_BYTE_ARRAY"));
}

#[test]
fn rows_of_gigabytes_in_files_of_some_hundred_bytes_are_refused() {
    // Forty million nulls, and five million times a text of a million letters.
    let refused = |name: &str| columns(&fixture(name)).unwrap_err().to_string();
    let error = refused("bomb-nulls.parquet");
    assert!(error.contains("bomb-nulls.parquet:1") && error.contains("more than is read"), "{error}");
    let error = refused("bomb-texts.parquet");
    assert!(
        error.contains("bomb-texts.parquet:1") && error.contains("a row of more than 256 MiB"),
        "{error}"
    );
}

/// What reading bytes says; an answer has to come, in one line, whatever they are.
fn said(bytes: &[u8]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.parquet");
    std::fs::write(&path, bytes).unwrap();
    let error = columns(&path).err()?.to_string();
    assert!(error.contains("bad.parquet") && error.lines().count() == 1 && error.len() < 1500, "{error}");
    Some(error)
}

#[test]
fn files_that_are_cut_off_or_none_are_refused() {
    let whole = std::fs::read(fixture("pairs.parquet")).unwrap();
    for length in (0..whole.len()).step_by(97) {
        assert!(said(&whole[..length]).is_some(), "{length}");
    }
    let check = |bytes: Vec<u8>, expected: &str| {
        let error = said(&bytes).unwrap();
        assert!(error.contains(expected), "{error}");
    };
    let size = whole.len();
    let with = |at: usize, bytes: &[u8]| {
        let mut whole = whole.clone();
        whole[at..at + bytes.len()].copy_from_slice(bytes);
        whole
    };
    check(with(size - 4, b"PAR2"), "does not end as a Parquet file");
    check(with(size - 4, b"PARE"), "encrypted");
    check(with(size - 8, &u32::MAX.to_le_bytes()), "its footer is said to have 4294967295 bytes");
    check(with(size - 8, &3u32.to_le_bytes()), "its footer: ");
    check(b"PAR1\x15\x04\x15\x10PAR1".to_vec(), "its footer is said to have");
}

#[test]
fn no_damaged_byte_panics_or_takes_the_memory() {
    // Bytes of the footer and of the pages, in turn with what lies at the ends of their range. All of them, and many more
    // files, are `fuzz`'s.
    for name in ["pairs.parquet", "types-delta.parquet"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for at in (4..whole.len() - 4).step_by(31) {
            for byte in [0x7f, 0xff, whole[at].wrapping_add(16)] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                said(&damaged);
            }
        }
    }
}
