//! Metadata: named values, and what a reader expects of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::shown;
use crate::{Error, Result};

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// True or false.
    Flag(bool),
    /// A text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// Several numbers; flags are 0 and 1.
    Numbers(Vec<f64>),
}

/// The metadata of a file.
#[derive(Clone, Debug)]
pub struct Metadata {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl Metadata {
    /// Metadata of the file `path`, which errors name.
    pub(crate) fn new(path: &Path, values: BTreeMap<String, Value>) -> Self {
        Self { path: path.to_owned(), values }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The error that says what was expected in the place of what is there.
    pub(crate) fn wrong(&self, name: &str, expected: &str) -> Error {
        let found = match self.get(name) {
            None => "nothing".to_owned(),
            Some(Value::Texts(all)) => format!("{} texts", all.len()),
            Some(Value::Numbers(all)) => format!("{} numbers", all.len()),
            Some(Value::Text(text)) => format!("`{}`", shown(text)),
            Some(Value::Integer(number)) => number.to_string(),
            Some(Value::Float(number)) => number.to_string(),
            Some(Value::Flag(flag)) => flag.to_string(),
        };
        Error::invalid(&self.path, format!("`{name}`: expected {expected}, found {found}"))
    }

    /// A size, if it is there.
    ///
    /// # Errors
    /// If something else is.
    pub fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Integer(number)) if (0..=1 << 40).contains(number) => Ok(Some(*number as usize)),
            // A list that says the same of every layer.
            Some(Value::Numbers(all)) => {
                match all.as_slice() {
                    [first, rest @ ..]
                        if rest.iter().all(|it| it == first) && *first >= 0.0 && first.fract() == 0.0 =>
                    {
                        Ok(Some(*first as usize))
                    }
                    _ => Err(self
                        .wrong(name, "one size for all layers; layers of several sizes are not supported")),
                }
            }
            Some(_) => Err(self.wrong(name, "a size")),
        }
    }

    /// A number, if it is there.
    ///
    /// # Errors
    /// If something else is.
    pub fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(*number as f64)),
            Some(Value::Float(number)) if number.is_finite() => Ok(Some(*number)),
            Some(_) => Err(self.wrong(name, "a number")),
        }
    }

    /// A flag, if it is there.
    ///
    /// # Errors
    /// If something else is.
    pub fn optional_flag(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    /// A text, if it is there.
    ///
    /// # Errors
    /// If something else is.
    pub fn optional_text(&self, name: &str) -> Result<Option<&str>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a text")),
        }
    }

    /// Texts, if they are there.
    ///
    /// # Errors
    /// If something else is.
    pub fn optional_texts(&self, name: &str) -> Result<Option<&[String]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Texts(texts)) => Ok(Some(texts)),
            // A list without elements may be of any type.
            Some(Value::Numbers(all)) if all.is_empty() => Ok(Some(&[])),
            Some(_) => Err(self.wrong(name, "a list of texts")),
        }
    }

    /// Numbers, if they are there.
    ///
    /// # Errors
    /// If something else is.
    pub fn optional_numbers(&self, name: &str) -> Result<Option<&[f64]>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Numbers(numbers)) => Ok(Some(numbers)),
            Some(_) => Err(self.wrong(name, "a list of numbers")),
        }
    }

    /// What is there, or the error that it must be.
    ///
    /// # Errors
    /// If it is not there.
    pub fn required<T>(&self, name: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| Error::invalid(&self.path, format!("has no `{name}`")))
    }
}
