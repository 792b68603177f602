//! Lines of a text, each with its number. A line has at most [`LONGEST`] bytes: a packed file of a few megabytes can hold a
//! line that no memory can.

use std::io::{BufRead, Read as _};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::rows::Row;
use crate::error::{DataError, Result};
use crate::record::Origin;

/// Bytes of the longest line, and of the longest array. A row of this size is no example to train on.
pub(super) const LONGEST: u64 = 256 << 20;

/// Values in the largest line or array, told by its commas: each takes ten times the memory of its text.
pub(super) const MOST_VALUES: usize = 20_000_000;

/// Lines that are read as they are asked for.
pub(super) struct Lines {
    pub(super) file: Arc<Path>,
    pub(super) text: Box<dyn BufRead>,
    /// Number of the line that was read last, from 1.
    pub(super) number: usize,
    /// Bytes of the longest line.
    pub(super) longest: u64,
}

/// A row per line that is not blank: the line as the column `text`.
pub(super) fn texts(file: Arc<Path>, text: Box<dyn BufRead>) -> impl Iterator<Item = Result<Row>> {
    let mut lines = Lines { file, text, number: 0, longest: LONGEST };
    std::iter::from_fn(move || {
        let line = lines.next_line().transpose()?;
        Some(line.map(|text| {
            let columns = Map::from_iter([("text".to_owned(), Value::String(text))]);
            Row::new(lines.origin(), columns, true)
        }))
    })
}

impl Lines {
    /// The next line that is not blank, without its end.
    pub(super) fn next_line(&mut self) -> Result<Option<String>> {
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

    /// The line that was read last.
    pub(super) fn origin(&self) -> Origin {
        Origin::new(self.file.clone(), self.number)
    }

    pub(super) fn refuse_many(&self, text: &[u8]) -> Result<()> {
        if text.len() <= MOST_VALUES || text.iter().filter(|byte| **byte == b',').count() <= MOST_VALUES {
            return Ok(());
        }
        let reason =
            format!("more than {MOST_VALUES} values in a row or an array, which is the most that is read");
        Err(DataError::Row { origin: self.origin(), reason })
    }

    pub(super) fn too_long(&self, what: &str, advice: &str) -> DataError {
        let megabytes = self.longest >> 20;
        let reason = format!("{what} of more than {megabytes} MiB, which is the most that is read; {advice}");
        DataError::Row { origin: self.origin(), reason }
    }

    pub(super) fn unreadable(&self, source: std::io::Error) -> DataError {
        DataError::Read { path: self.file.to_path_buf(), source }
    }
}
