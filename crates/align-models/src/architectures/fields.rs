//! Reads fields of a `config.json` with errors that name the field.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use align_kernels::Activation;
use align_text::shortened;
use serde_json::Value;

use crate::error::{Error, Result, SHOWN};

/// The largest sizes that are read: ten times those of the largest models, and so small that the products of two of them
/// are numbers of 64 bits.
pub(super) mod most {
    pub(crate) const VOCAB: usize = 1 << 24;
    pub(crate) const WIDTH: usize = 1 << 22;
    pub(crate) const LAYERS: usize = 10_000;
    pub(crate) const HEADS: usize = 1 << 16;
    pub(crate) const POSITIONS: usize = 1 << 30;
}

/// An object of the file.
pub(super) struct Fields<'a> {
    path: &'a Path,
    config: &'a Value,
    /// What somebody asked for.
    read: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(path: &'a Path, config: &'a Value) -> Self {
        Self { path, config, read: RefCell::default() }
    }

    /// The field's value; absent and null are the same, as in transformers.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(name.to_owned());
        self.config.get(name).filter(|value| !value.is_null())
    }

    /// Whether the field is there, be it null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.config.get(name).is_some()
    }

    /// Fields that nobody asked for and that are not null.
    pub(super) fn unread(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let read = self.read.borrow().clone();
        let fields =
            self.config.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value));
        fields.filter(move |(name, value)| !read.contains(*name) && !value.is_null())
    }

    pub(super) fn invalid<T>(&self, problem: &str) -> Result<T> {
        Err(Error::invalid(self.path, problem))
    }

    pub(super) fn fail<T>(&self, name: &str, expected: &str) -> Result<T> {
        let found = self.get(name).map_or_else(|| "nothing".to_owned(), Value::to_string);
        let found = shortened(&found, SHOWN);
        self.invalid(&format!("`{name}`: expected {expected}, found {found}"))
    }

    /// A whole number from 1 to `most`.
    pub(super) fn size(&self, name: &str, most: usize) -> Result<usize> {
        let value = self.get(name).and_then(Value::as_u64).and_then(|value| usize::try_from(value).ok());
        match value.filter(|value| (1..=most).contains(value)) {
            Some(value) => Ok(value),
            None => self.fail(name, &format!("a whole number from 1 to {most}")),
        }
    }

    pub(super) fn size_or(&self, name: &str, default: usize, most: usize) -> Result<usize> {
        Ok(self.optional_size(name, most)?.unwrap_or(default))
    }

    pub(super) fn optional_size(&self, name: &str, most: usize) -> Result<Option<usize>> {
        if self.get(name).is_some() { self.size(name, most).map(Some) } else { Ok(None) }
    }

    /// A number of the range; NaN and infinity are in none.
    pub(super) fn number_in(&self, name: &str, default: f64, range: RangeInclusive<f64>) -> Result<f64> {
        Ok(self.optional_number(name, &range)?.unwrap_or(default))
    }

    pub(super) fn optional_number(&self, name: &str, range: &RangeInclusive<f64>) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_f64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => self.fail(name, &format!("a number from {:e} to {:e}", range.start(), range.end())),
        }
    }

    /// A number of the range that must be there.
    pub(super) fn number(&self, name: &str, range: &RangeInclusive<f64>) -> Result<f64> {
        match self.optional_number(name, range)? {
            Some(number) => Ok(number),
            None => self.fail(name, &format!("a number from {:e} to {:e}", range.start(), range.end())),
        }
    }

    /// `count` numbers of the range.
    pub(super) fn numbers(&self, name: &str, count: usize, range: &RangeInclusive<f64>) -> Result<Vec<f32>> {
        let list = self.get(name).and_then(Value::as_array);
        let number = |value: &Value| {
            value.as_f64().filter(|number| range.contains(number)).map(|number| number as f32)
        };
        let numbers = list.and_then(|list| list.iter().map(number).collect::<Option<Vec<f32>>>());
        match numbers.filter(|numbers| numbers.len() == count) {
            Some(numbers) => Ok(numbers),
            None => {
                self.fail(name, &format!("{count} numbers from {:e} to {:e}", range.start(), range.end()))
            }
        }
    }

    /// The object of that name.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>> {
        match self.get(name) {
            None => Ok(None),
            Some(config) if config.is_object() => Ok(Some(Self::new(self.path, config))),
            Some(_) => self.fail(name, "an object"),
        }
    }

    pub(super) fn flag_or(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value.as_bool().map_or_else(|| self.fail(name, "true or false"), Ok),
        }
    }

    pub(super) fn text_or(&self, name: &str, default: &'a str) -> Result<&'a str> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => value.as_str().map_or_else(|| self.fail(name, "a string"), Ok),
        }
    }

    /// One value for each layer, if there is such a list.
    pub(super) fn per_layer<T>(
        &self,
        name: &str,
        layers: usize,
        expected: &str,
        value: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(found) = self.get(name) else { return Ok(None) };
        let list = found.as_array().and_then(|list| list.iter().map(value).collect::<Option<Vec<T>>>());
        match list.filter(|list| list.len() == layers) {
            Some(list) => Ok(Some(list)),
            None => self.fail(name, &format!("a list of {expected} for each of {layers} layers")),
        }
    }

    /// What `name` says a gate goes through.
    pub(super) fn activation(&self, name: &str, default: &'a str) -> Result<Activation> {
        match self.text_or(name, default)? {
            "silu" | "swish" => Ok(Activation::Silu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_pytorch_tanh" | "gelu_new" => Ok(Activation::GeluTanh),
            _ => self.fail(name, "silu, gelu or gelu_pytorch_tanh"),
        }
    }
}
