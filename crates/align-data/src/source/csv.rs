//! CSV and TSV: the first line names the columns, every field is text. A field that is empty is null, as in pandas.
//!
//! Nothing is taken for a number, because the answer `5` would not be a text then; columns that must be a number or a
//! boolean read it out of the text.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use csv::{ErrorKind, Reader, ReaderBuilder, StringRecord, Terminator};
use serde_json::Value;

use super::lines::{LONGEST, MOST_VALUES};
use super::rows::Row;
use crate::error::{DataError, Result};
use crate::guard::shortened;
use crate::record::Origin;

/// The rows of a table whose fields stand between `separator`.
pub(super) fn rows(
    file: Arc<Path>,
    text: impl Read,
    separator: u8,
) -> Result<impl Iterator<Item = Result<Row>>> {
    let left = Rc::new(Cell::new(Left::default()));
    let text = Bounded { text, separator, left: left.clone() };
    // Lines end with \n: of a file whose lines end with \r\n the library would count each line too late.
    let mut builder = ReaderBuilder::new();
    builder.delimiter(separator).terminator(Terminator::Any(b'\n')).has_headers(false).flexible(true);
    let reader = builder.from_reader(text);
    let mut table = Table { file, reader, left, record: StringRecord::new() };
    let names = table.names()?;
    let mut failed = false;
    Ok(std::iter::from_fn(move || {
        let row = if failed { None } else { table.next_row(&names).transpose() };
        failed |= matches!(row, Some(Err(_)));
        row
    }))
}

struct Table<R> {
    file: Arc<Path>,
    reader: Reader<Bounded<R>>,
    left: Rc<Cell<Left>>,
    record: StringRecord,
}

impl<R: Read> Table<R> {
    fn names(&mut self) -> Result<Vec<String>> {
        let Some((origin, names)) = self.next_record()? else { return Ok(Vec::new()) };
        let mut known = BTreeSet::new();
        match names.iter().find(|name| !known.insert(*name)) {
            Some(twice) => {
                let reason = format!("expected a name for each column, found `{}` twice", shortened(twice));
                Err(DataError::Row { origin, reason })
            }
            None => Ok(names),
        }
    }

    fn next_row(&mut self, names: &[String]) -> Result<Option<Row>> {
        let Some((origin, fields)) = self.next_record()? else { return Ok(None) };
        if fields.len() != names.len() {
            let reason = format!(
                "expected {} fields, as the first line has, found {}; is a field with a separator or a line's end in it \
                 without quotes?",
                names.len(),
                fields.len()
            );
            return Err(DataError::Row { origin, reason });
        }
        let value = |field: String| if field.is_empty() { Value::Null } else { Value::String(field) };
        let columns = names.iter().cloned().zip(fields.into_iter().map(value)).collect();
        Ok(Some(Row::new(origin, columns, true)))
    }

    /// The fields of the next line that is not blank.
    fn next_record(&mut self) -> Result<Option<(Origin, Vec<String>)>> {
        loop {
            self.left.set(Left { bytes: LONGEST, fields: MOST_VALUES, ..self.left.get() });
            let line = self.reader.position().line();
            match self.reader.read_record(&mut self.record) {
                Ok(false) => return Ok(None),
                Ok(true) if self.record.len() == 1 && self.record[0].trim().is_empty() => {}
                Ok(true) => {
                    let line = self.record.position().map_or(line, csv::Position::line);
                    let mut fields: Vec<String> = self.record.iter().map(str::to_owned).collect();
                    // What a quote swallowed goes on to the end of the text, which is no quote then.
                    let Left { ended, last, .. } = self.left.get();
                    if ended && last != b'"' && fields.last().is_some_and(|field| field.contains('\n')) {
                        let reason = "a quote that is not closed: all lines from here on would be one field"
                            .to_owned();
                        return Err(DataError::Row { origin: self.origin(line), reason });
                    }
                    if let Some(last) = fields.last_mut().filter(|last| last.ends_with('\r')) {
                        last.pop();
                    }
                    return Ok(Some((self.origin(line), fields)));
                }
                Err(error) => {
                    let reason = match error.kind() {
                        ErrorKind::Utf8 { err, .. } => {
                            format!("expected text, found bytes that are not UTF-8 ({err})")
                        }
                        ErrorKind::Io(error) => error.to_string(),
                        _ => error.to_string(),
                    };
                    return Err(DataError::Row { origin: self.origin(line), reason });
                }
            }
        }
    }

    fn origin(&self, line: u64) -> Origin {
        Origin::new(self.file.clone(), usize::try_from(line).unwrap_or(usize::MAX))
    }
}

/// What a record may still have, and what is known of the text.
#[derive(Clone, Copy)]
struct Left {
    bytes: u64,
    fields: usize,
    /// Whether the text has ended, and with which byte but for the end of a line.
    ended: bool,
    last: u8,
}

impl Default for Left {
    fn default() -> Self {
        Self { bytes: LONGEST, fields: MOST_VALUES, ended: false, last: 0 }
    }
}

/// A text that a record takes no more of than is allowed: a quote that is not closed goes on to the end.
struct Bounded<R> {
    text: R,
    separator: u8,
    left: Rc<Cell<Left>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Left { bytes, fields, last, .. } = self.left.get();
        if bytes == 0 || fields == 0 {
            return Err(io::Error::other(format!(
                "a row of more than {} MiB or {MOST_VALUES} fields, which is the most that is read; is a quote not closed?",
                LONGEST >> 20
            )));
        }
        let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.text.read(&mut buffer[..most])?;
        let separators = buffer[..read].iter().filter(|byte| **byte == self.separator).count();
        let last =
            buffer[..read].iter().rfind(|byte| !matches!(byte, b'\r' | b'\n')).copied().unwrap_or(last);
        let (bytes, fields) = (bytes - read as u64, fields.saturating_sub(separators));
        self.left.set(Left { bytes, fields, ended: read == 0, last });
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, separator: u8) -> Result<Vec<String>> {
        let rows = rows(Path::new("f.csv").into(), text.as_bytes(), separator)?;
        rows.map(|row| row.map(|row| format!("{} {}", row.origin, Value::Object(row.columns)))).collect()
    }

    #[test]
    fn fields_are_texts_under_their_names() {
        let text = "\u{feff}a,b\r\n1,\"x, \"\"y\"\"\nz\"\n,é\n";
        let rows = read(text, b',').unwrap();
        assert_eq!(rows, [r#"f.csv:2 {"a":"1","b":"x, \"y\"\nz"}"#, r#"f.csv:4 {"a":null,"b":"é"}"#]);
        assert_eq!(read("a\tb\n1,2\t3\n", b'\t').unwrap(), [r#"f.csv:2 {"a":"1,2","b":"3"}"#]);
        assert!(read("a,b\n", b',').unwrap().is_empty());
        assert!(read("", b',').unwrap().is_empty());
        assert_eq!(read("a,b\r\n\r\n\r\n1,2\r\n", b',').unwrap(), [r#"f.csv:4 {"a":"1","b":"2"}"#]);
    }

    #[test]
    fn tables_that_are_none_are_refused_with_their_line() {
        let check = |text: &str, expected: &str| {
            let error = read(text, b',').unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        };
        check("a,b\n1,2\n1,2,3\n", "f.csv:3: expected 2 fields, as the first line has, found 3");
        check("a,b\n1\n", "f.csv:2: expected 2 fields");
        check("a,b\n1,\"2\n3,4\n", "f.csv:2: a quote that is not closed");
        assert_eq!(read("a,b\n1,\"2\n3\"", b',').unwrap().len(), 1);
        check("a,a\n1,2\n", "f.csv:1: expected a name for each column, found `a` twice");
        let rows = rows(Path::new("f.csv").into(), b"a\n1\n\xff\n".as_slice(), b',').unwrap();
        let error = rows.last().unwrap().err().unwrap().to_string();
        assert!(error.starts_with("f.csv:3: expected text, found bytes that are not UTF-8"), "{error}");
    }

    #[test]
    fn a_quote_that_is_not_closed_takes_no_more_memory_than_is_allowed() {
        let endless = b"a\n\"".chain(io::repeat(b'x'));
        let error = rows(Path::new("f.csv").into(), endless, b',').unwrap().next().unwrap().err().unwrap();
        assert!(error.to_string().starts_with("f.csv:2: a row of more than 256 MiB"), "{error}");
        let endless = b"a,b\n".chain(io::repeat(b','));
        let error = rows(Path::new("f.csv").into(), endless, b',').unwrap().next().unwrap().err().unwrap();
        assert!(error.to_string().contains("20000000 fields"), "{error}");
    }
}
