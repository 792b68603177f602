//! JSON: one array of objects, which is read as a whole, or one object per line, read as they are asked for.
//!
//! `[` at the start of a file means an array; blank lines are skipped.

use std::io::{BufRead, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::lines::{LONGEST, Lines};
use super::rows::{Row, array, line};
use crate::error::Result;

/// The file's rows, from its first character on.
pub(super) fn rows(file: Arc<Path>, text: Box<dyn BufRead>) -> Result<Reading> {
    reading(file, text, LONGEST)
}

/// A file that is being read.
pub(super) enum Reading {
    /// A row per line.
    Lines(Lines),
    /// The rows of an array.
    Array(std::vec::IntoIter<Row>),
}

impl Iterator for Reading {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Lines(lines) => {
                let text = lines.next_line().transpose()?;
                Some(text.and_then(|text| line(&lines.file, lines.number, &text)))
            }
            Self::Array(rows) => rows.next().map(Ok),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines on which the rows of a file with this content begin.
    fn read(content: impl Into<Vec<u8>>) -> Result<Vec<usize>> {
        let content = std::io::Cursor::new(content.into());
        reading(Path::new("f").into(), Box::new(content), 1 << 20)?
            .map(|row| Ok(row?.origin.line()))
            .collect()
    }

    fn complaint(content: impl Into<Vec<u8>>) -> String {
        read(content).unwrap_err().to_string()
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
        assert!(
            complaint("{\"a\":1}\n{\"a\":[{\"b\":1, \"b\":2}]}")
                .contains("f:2: malformed JSON: the key `b` stands twice in one object (column 1")
        );
        assert!(
            complaint("[{\"a\":1},\n{\"a\":1,\"a\":1}]")
                .contains("f:2: malformed JSON: the key `a` stands twice")
        );
        assert!(complaint(b"{}\n\n\xff\n").contains("line 3 is not UTF-8"));
    }
}
