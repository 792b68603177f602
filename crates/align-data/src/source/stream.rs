//! The rows of a split one after the other, however large its files are.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::split_files;
use super::open::open;
use super::rows::Row;
use super::slice::Slice;
use super::{csv, json, lines, parquet};
use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::formats::Format;

/// The rows of a file that is being read.
type Reading = Box<dyn Iterator<Item = Result<Row>>>;

/// The rows of files, in their order.
pub(super) struct Rows {
    files: std::vec::IntoIter<PathBuf>,
    current: Reading,
    /// Rows that are passed over before the first, and those that are still to come.
    before: usize,
    left: usize,
}

impl Rows {
    /// The rows of a split, or of a part of one ([`Slice`]).
    pub(super) fn of_split(dataset: &Dataset, split: &str) -> Result<Self> {
        let slice = Slice::parse(split)?;
        let files = split_files(dataset, slice.split())?;
        let total = if slice.needs_total() { count(dataset, &files, split)? } else { usize::MAX };
        let range = slice.range(total)?;
        let left = range.len();
        Ok(Self {
            files: files.into_iter(),
            current: Box::new(std::iter::empty()),
            before: range.start,
            left,
        })
    }

    fn advance(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(row) = self.current.next() {
                return row.map(Some);
            }
            let Some(path) = self.files.next() else { return Ok(None) };
            self.current = begin(path)?;
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 && self.before > 0 {
            self.before -= 1;
            if let Err(error) = self.advance().transpose()? {
                return Some(Err(error));
            }
        }
        self.left = self.left.checked_sub(1)?;
        self.advance().transpose()
    }
}

/// The number of rows of files, which are read for it but for Parquet's, whose footers say it.
pub(super) fn count(dataset: &Dataset, files: &[PathBuf], split: &str) -> Result<usize> {
    if dataset.is_standard_input() {
        let reason = "the number of rows of standard input is not known before it is read; name rows from the first on, as \
                      in `train[:100]`"
            .to_owned();
        return Err(DataError::Split { split: split.to_owned(), reason });
    }
    files.iter().try_fold(0, |total, path| match format(path) {
        Some(Format::Parquet) => Ok(total + parquet::count(path)?),
        _ => begin(path.clone())?.try_fold(total, |total, row| row.map(|_| total + 1)),
    })
}

fn begin(path: PathBuf) -> Result<Reading> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(problem) = Format::complaint(&name) {
        let source = std::io::Error::new(std::io::ErrorKind::Unsupported, problem);
        return Err(DataError::Read { path, source });
    }
    let named = format(&path);
    if let Some(known @ (Format::Parquet | Format::Arrow)) = named {
        return rows(known, path.into());
    }
    let mut text = open(&path)?;
    let format = match named {
        Some(format) => format,
        None => {
            let start = text.fill_buf().map_err(|source| DataError::Read { path: path.clone(), source })?;
            Format::of_content(start)
        }
    };
    let path: Arc<Path> = path.into();
    Ok(match format {
        Format::Json => Box::new(json::rows(path, text)?),
        Format::Csv => Box::new(csv::rows(path, text, b',')?),
        Format::Tsv => Box::new(csv::rows(path, text, b'\t')?),
        Format::Text => Box::new(lines::texts(path, text)),
        Format::Parquet | Format::Arrow => rows(format, path)?,
    })
}

fn format(path: &Path) -> Option<Format> {
    Format::of(path.file_name()?.to_str()?).map(|(format, _)| format)
}

/// The rows of a file that is read from several places at once.
fn rows(format: Format, path: Arc<Path>) -> Result<Reading> {
    match format {
        Format::Arrow => Err(super::open::arrow(&path)),
        _ => Ok(Box::new(parquet::rows(path)?)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Lines on which the rows of a file with this content begin.
    fn read_file(content: &[u8]) -> Result<Vec<usize>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        std::fs::write(&path, content).unwrap();
        of_split(&path)?.map(|row| Ok(row?.origin.line())).collect()
    }

    fn of_split(path: &Path) -> Result<Rows> {
        Rows::of_split(&path.into(), "test")
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    }

    fn zstd(text: &str) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn packed_files_and_their_parts_are_unpacked() {
        let text = "\u{feff}{\"a\": 1}\r\n\n{\"a\": \"ü\"}\n{}";
        let (one, two) = text.split_at(14);
        for packed in [text.into(), gzip(text), zstd(text), [gzip(one), gzip(two)].concat()] {
            assert_eq!(read_file(&packed).unwrap(), [1, 3, 4]);
        }
        assert_eq!(read_file(&[zstd(one), zstd(two)].concat()).unwrap(), [1, 3, 4]);
        assert!(read_file(&gzip(text)[..20]).unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn a_packed_line_without_an_end_takes_no_more_memory_than_is_allowed() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        (0..300).for_each(|_| packer.write_all(&[b'x'; 1 << 20]).unwrap());
        let error = read_file(&packer.finish().unwrap()).unwrap_err().to_string();
        assert!(error.contains("rows:1: a line of more than 256 MiB"), "{error}");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"{\"a\": [1").unwrap();
        (0..42).for_each(|_| packer.write_all(&b",1".repeat(1 << 19)).unwrap());
        packer.write_all(b"]}").unwrap();
        let error = read_file(&packer.finish().unwrap()).unwrap_err().to_string();
        assert!(error.contains("rows:1: more than 20000000 values"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn devices_and_pipes_are_refused_at_once() {
        let refused = |path: &Path| of_split(path).unwrap().next().unwrap().err().unwrap();
        let error = refused(Path::new("/dev/zero")).to_string();
        assert!(error.contains("/dev/zero: is a device, a pipe or a socket"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("test.jsonl");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(refused(&pipe).to_string().contains("test.jsonl: is a device, a pipe"));
        // One among the shards of a split is no data file.
        let error = of_split(dir.path()).err().unwrap().to_string();
        assert!(error.contains("no split `test`; it has no data files"), "{error}");
    }

    #[test]
    fn rows_before_a_damaged_one_are_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("test.jsonl"), "{}\n{\n").unwrap();
        let mut rows = of_split(dir.path()).unwrap();
        assert_eq!(rows.next().unwrap().unwrap().origin.line(), 1);
        assert!(rows.next().unwrap().is_err());
    }
}
