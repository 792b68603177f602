//! The rows of a split one after the other, however large its files are.
//!
//! `[` at the start of a file means one array of objects, which is read as a whole. Anything else is one object per
//! line, read as they are asked for; blank lines are skipped. A line, and an array, has at most [`LONGEST`] bytes: a packed
//! file of a few megabytes can hold a line that no memory can.

use std::io::{BufRead, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::split_files;
use super::open::open;
use super::rows::{Row, array, line};
use crate::error::{DataError, Result};
use crate::record::Origin;

/// Bytes of the longest line, and of the longest array. A row of this size is no example to train on.
const LONGEST: u64 = 256 << 20;

/// Values in the largest line or array, told by its commas: each takes ten times the memory of its text.
const MOST_VALUES: usize = 20_000_000;

/// The rows of files, in their order.
pub(super) struct Rows {
    files: std::vec::IntoIter<PathBuf>,
    current: Reading,
}

/// A file that is being read.
enum Reading {
    Lines(Lines),
    Array(std::vec::IntoIter<Row>),
}

struct Lines {
    file: Arc<Path>,
    text: Box<dyn BufRead>,
    /// Number of the line that was read last, from 1.
    number: usize,
    /// Bytes of the longest line.
    longest: u64,
}

impl Rows {
    /// The rows of a split of `path`, which may be `-`, standard input.
    pub(super) fn of_split(path: &Path, split: &str) -> Result<Self> {
        let files = split_files(path, split)?.into_iter();
        Ok(Self { files, current: Reading::Array(Vec::new().into_iter()) })
    }

    fn advance(&mut self) -> Result<Option<Row>> {
        loop {
            let row = match &mut self.current {
                Reading::Lines(lines) => match lines.next_line()? {
                    Some(text) => Some(line(&lines.file, lines.number, &text)?),
                    None => None,
                },
                Reading::Array(rows) => rows.next(),
            };
            if row.is_some() {
                return Ok(row);
            }
            let Some(path) = self.files.next() else { return Ok(None) };
            self.current = begin(path)?;
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

fn begin(path: PathBuf) -> Result<Reading> {
    let text = open(&path)?;
    reading(path.into(), text, LONGEST)
}

/// The file's rows, from its first character on.
fn reading(file: Arc<Path>, text: Box<dyn BufRead>, longest: u64) -> Result<Reading> {
    let mut lines = Lines { file, text, number: 0, longest };
    let Some(first) = lines.next_line()? else { return Ok(Reading::Array(Vec::new().into_iter())) };
    let is_array = first.trim_start().starts_with('[');
    // What was read, with as many blank lines before it as there were: all lines are counted from here on.
    let mut text = "\n".repeat(lines.number - 1) + &first + "\n";
    if !is_array {
        lines.text = Box::new(std::io::Cursor::new(text).chain(lines.text));
        lines.number = 0;
        return Ok(Reading::Lines(lines));
    }
    let rest = (&mut lines.text).take(longest + 1).read_to_string(&mut text);
    let rest = rest.map_err(|source| lines.unreadable(source))?;
    if rest as u64 > longest {
        return Err(lines.too_long("an array", "write one object per line (JSON lines)"));
    }
    lines.refuse_many(text.as_bytes())?;
    // What is missing at the end is missing on the last line with text.
    Ok(Reading::Array(array(&lines.file, text.trim_end())?.into_iter()))
}

impl Lines {
    /// The next line that is not blank, without its end.
    fn next_line(&mut self) -> Result<Option<String>> {
        loop {
            let mut bytes = Vec::new();
            let line = (&mut self.text).take(self.longest + 1).read_until(b'\n', &mut bytes);
            if line.map_err(|source| self.unreadable(source))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if bytes.len() as u64 > self.longest {
                return Err(self.too_long("a line", "is it one row, and is the file what it should be?"));
            }
            self.refuse_many(&bytes)?;
            let text = String::from_utf8(bytes).map_err(|_| {
                let problem = format!("line {} is not UTF-8", self.number);
                self.unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, problem))
            })?;
            // A byte order mark may begin a file.
            let text = text.strip_prefix('\u{feff}').filter(|_| self.number == 1).unwrap_or(&text);
            if !text.trim().is_empty() {
                return Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()));
            }
        }
    }

    fn refuse_many(&self, text: &[u8]) -> Result<()> {
        if text.len() <= MOST_VALUES || text.iter().filter(|byte| **byte == b',').count() <= MOST_VALUES {
            return Ok(());
        }
        let reason =
            format!("more than {MOST_VALUES} values in a row or an array, which is the most that is read");
        Err(DataError::Row { origin: Origin::new(self.file.clone(), self.number), reason })
    }

    fn too_long(&self, what: &str, advice: &str) -> DataError {
        let megabytes = self.longest >> 20;
        let reason = format!("{what} of more than {megabytes} MiB, which is the most that is read; {advice}");
        DataError::Row { origin: Origin::new(self.file.clone(), self.number), reason }
    }

    fn unreadable(&self, source: std::io::Error) -> DataError {
        DataError::Read { path: self.file.to_path_buf(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Lines on which the rows of a file with this content begin.
    fn read(content: impl Into<Vec<u8>>) -> Result<Vec<usize>> {
        let content = std::io::Cursor::new(content.into());
        let current = reading(Path::new("f").into(), Box::new(content), 1 << 20)?;
        let rows = Rows { files: Vec::new().into_iter(), current };
        rows.map(|row| Ok(row?.origin.line())).collect()
    }

    fn complaint(content: impl Into<Vec<u8>>) -> String {
        read(content).unwrap_err().to_string()
    }

    /// The same for a file on disk.
    fn read_file(content: &[u8]) -> Result<Vec<usize>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows");
        std::fs::write(&path, content).unwrap();
        Rows::of_split(&path, "test")?.map(|row| Ok(row?.origin.line())).collect()
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
    fn rows_know_the_line_they_begin_on() {
        assert_eq!(read("{\"a\":1}\n\n{\"a\":2}\n").unwrap(), [1, 3]);
        assert_eq!(read("[\n {\"a\":\n 1},\n {\"a\":2}, {}\n]\n").unwrap(), [2, 4, 4]);
        assert_eq!(read("\n\n{}\n").unwrap(), [3]);
        assert_eq!(read("\n[{},\n{}]").unwrap(), [2, 3]);
        assert_eq!(read(" [ ] ").unwrap(), [] as [usize; 0]);
        assert_eq!(read("").unwrap(), [] as [usize; 0]);
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
    fn lines_and_arrays_have_an_end() {
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20));
        let error = complaint(format!("{{}}\n{long}\n"));
        assert!(error.starts_with("f:2: a line of more than 1 MiB"), "{error}");
        assert!(complaint(long.clone()).starts_with("f:1: a line of more than 1 MiB"));
        let array = format!("[\n{}{{}}]", "{},\n".repeat(1 << 18));
        assert!(complaint(array).starts_with("f:1: an array of more than 1 MiB"));
        assert!(complaint("\0".repeat(2 << 20)).contains("a line of more than 1 MiB"));
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
        let refused = |path: &Path| Rows::of_split(path, "test").unwrap().next().unwrap().err().unwrap();
        let error = refused(Path::new("/dev/zero")).to_string();
        assert!(error.contains("/dev/zero: is a device, a pipe or a socket"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("test.jsonl");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(refused(&pipe).to_string().contains("test.jsonl: is a device, a pipe"));
        // One among the shards of a split is no data file.
        let error = Rows::of_split(dir.path(), "test").err().unwrap().to_string();
        assert!(error.contains("has no data file for the split"), "{error}");
    }

    #[test]
    fn rows_before_a_damaged_one_are_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("test.jsonl"), "{}\n{\n").unwrap();
        let mut rows = Rows::of_split(dir.path(), "test").unwrap();
        assert_eq!(rows.next().unwrap().unwrap().origin.line(), 1);
        assert!(rows.next().unwrap().is_err());
    }

    #[test]
    fn malformed_json_names_its_line() {
        assert!(complaint("{\"a\":1}\n{\"a\":\n").starts_with("f:2: malformed JSON: EOF while parsing"));
        assert!(complaint("[{\"a\":1},\n{\"a\":tru}]").starts_with("f:2: malformed JSON: expected ident"));
        assert!(complaint("[{\"a\":1}\n{\"a\":1}]").contains("f:2: malformed JSON: expected `,` or `]`"));
        assert!(complaint("[{\"a\":1},]").contains("expected an object (`{`) as the next row, found `]`"));
        let unended = complaint("[{\"a\":1}");
        assert!(unended.starts_with("f:1: ") && unended.contains("found the end of the file"), "{unended}");
        assert!(complaint("{\"margin\": NaN}").contains("`NaN` is no JSON, write null or a number"));
        assert!(complaint("[{\"margin\":\n -Infinity}]").contains("Infinity` is no JSON"));
        assert!(complaint("[1]").contains("expected an object"));
        assert!(complaint("{}\n[1]").contains("f:2: malformed JSON: a row is a list"));
        assert!(complaint(b"{}\n\n\xff\n").contains("line 3 is not UTF-8"));
    }
}
