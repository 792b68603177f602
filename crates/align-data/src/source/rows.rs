//! Text to JSON objects, each with the line it begins on: a line that is one, or an array of them.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::columns::describe;
use super::unique::Unique;
use crate::error::{DataError, Result};
use crate::guard::shortened;
use crate::record::Origin;

/// One JSON object of a data file.
pub(super) struct Row {
    /// Its `file:line`.
    pub(super) origin: Origin,
    /// Its columns.
    pub(super) columns: Map<String, Value>,
    /// Whether its format has nothing but text, so that `true` and `1.5` are written as such.
    pub(super) is_text: bool,
    /// How many rows of the file it is made of.
    pub(super) count: usize,
    /// What it was recognised as.
    pub(super) shape: &'static str,
    /// Columns that were taken out of it.
    pub(super) used: Vec<String>,
    /// Whether its answers may be equally good, where they are not what is wanted of it.
    pub(super) takes_ties: bool,
    /// Whether a vote in it is the number 0, 1 or 2.
    pub(super) voted: [bool; 3],
    /// Whether its prompt, a string, is a conversation's for its system turn, or continued as it stands; none of other prompts.
    pub(super) is_chat: Option<bool>,
}

impl Row {
    /// A row as it stands in a file.
    pub(super) fn new(origin: Origin, columns: Map<String, Value>, is_text: bool) -> Self {
        Self {
            origin,
            columns,
            is_text,
            count: 1,
            shape: "",
            used: Vec::new(),
            takes_ties: false,
            voted: [false; 3],
            is_chat: None,
        }
    }
}

impl Row {
    /// Says that none of its answers is better, which leaves the row out if one has to be.
    pub(super) fn tie(&self, reason: &str) -> Result<()> {
        match self.takes_ties {
            true => Ok(()),
            false => Err(DataError::NoPreference { origin: self.origin.clone(), reason: reason.to_owned() }),
        }
    }
}

/// The row on a line.
pub(super) fn line(file: &Arc<Path>, number: usize, text: &str) -> Result<Row> {
    let origin = Origin::new(file.clone(), number);
    match serde_json::from_str(text) {
        Ok(Unique(value)) => object(origin, value),
        Err(error) => Err(malformed(origin, &error, text)),
    }
}

/// Reads element by element rather than the array as a whole, so that each row knows its own line.
pub(super) fn array(file: &Arc<Path>, text: &str) -> Result<Vec<Row>> {
    let mut place = Place { file, text, at: 0, line: 1 };
    place.advance_to(text.find('[').expect("the caller saw it") + 1);
    let mut rows = Vec::new();
    loop {
        match place.peek() {
            Some(']') => {
                place.advance_to(place.at + 1);
                return match place.peek() {
                    None => Ok(rows),
                    Some(_) => Err(place.unexpected("the end of the file after `]`")),
                };
            }
            Some(',') if !rows.is_empty() => place.advance_to(place.at + 1),
            Some(_) if rows.is_empty() => {}
            _ => return Err(place.unexpected("`,` or `]` after an object")),
        }
        if place.peek() != Some('{') {
            if place.peek() == Some(']') && rows.is_empty() {
                continue;
            }
            return Err(place.unexpected("an object (`{`) as the next row"));
        }
        rows.push(place.object()?);
    }
}

/// Where reading stands in an array file.
struct Place<'a> {
    file: &'a Arc<Path>,
    text: &'a str,
    at: usize,
    line: usize,
}

impl Place<'_> {
    fn origin(&self) -> Origin {
        Origin::new(self.file.clone(), self.line)
    }

    fn advance_to(&mut self, at: usize) {
        self.line += self.text[self.at..at].matches('\n').count();
        self.at = at;
    }

    /// The next character that is not white space.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.advance_to(self.at + rest.len() - rest.trim_start().len());
        self.text[self.at..].chars().next()
    }

    fn object(&mut self) -> Result<Row> {
        let mut values = serde_json::Deserializer::from_str(&self.text[self.at..]).into_iter::<Unique>();
        match values.next() {
            Some(Ok(Unique(value))) => {
                let row = object(self.origin(), value)?;
                self.advance_to(self.at + values.byte_offset());
                Ok(row)
            }
            Some(Err(error)) => {
                let line = self.line + error.line().saturating_sub(1);
                let text = self.text.lines().nth(line - 1).unwrap_or_default();
                Err(malformed(Origin::new(self.file.clone(), line), &error, text))
            }
            None => Err(self.unexpected("an object")),
        }
    }

    fn unexpected(&mut self, expected: &str) -> DataError {
        let found = self.peek().map_or("the end of the file".to_owned(), |c| format!("`{c}`"));
        DataError::Json { origin: self.origin(), reason: format!("expected {expected}, found {found}") }
    }
}

fn object(origin: Origin, value: Value) -> Result<Row> {
    match value {
        Value::Object(columns) => Ok(Row::new(origin, columns, false)),
        other => Err(DataError::Json { origin, reason: format!("a row is {}", describe(&other)) }),
    }
}

/// `line` is the one that the error's column counts in, where that is known.
fn malformed(origin: Origin, error: &serde_json::Error, line: &str) -> DataError {
    // serde_json counts lines from the start of what it was given; our origin is the true line.
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    // What Python writes for numbers that JSON has not.
    let at = line.get(error.column().saturating_sub(1)..).unwrap_or_default();
    let number = ["NaN", "Infinity"].into_iter().find(|name| at.starts_with(name));
    let hint =
        number.map(|name| format!("; `{name}` is no JSON, write null or a number")).unwrap_or_default();
    let reason = shortened(reason);
    DataError::Json { origin, reason: format!("{reason} (column {}){hint}", error.column()) }
}
