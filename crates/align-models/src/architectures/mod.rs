//! One short file per architecture: how its `config.json` maps onto the decoder.

mod llama;

use std::ops::RangeInclusive;
use std::path::Path;

use align_text::shortened;
use serde_json::Value;

use crate::{DecoderConfig, Error, Result};

/// Reads the config of any supported architecture.
pub(crate) fn decoder_config(path: &Path, config: &Value) -> Result<DecoderConfig> {
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    match model_type {
        "llama" => llama::decoder_config(path, config),
        "" => Err(Error::invalid(path, "has no `model_type`; expected a Hugging Face model config")),
        other => {
            let other = shortened(other, SHOWN);
            Err(Error::invalid(path, format!("`model_type` is `{other}`; supported: llama")))
        }
    }
}

/// Characters of a wrong value that an error repeats.
const SHOWN: usize = 200;

/// The largest sizes that are read: ten times those of the largest models, and so small that the products of two of them
/// are numbers of 64 bits.
mod most {
    pub(super) const VOCAB: usize = 1 << 24;
    pub(super) const WIDTH: usize = 1 << 22;
    pub(super) const LAYERS: usize = 10_000;
    pub(super) const HEADS: usize = 1 << 16;
    pub(super) const POSITIONS: usize = 1 << 30;
}

/// Reads fields of a `config.json` with errors that name the field.
struct Fields<'a> {
    path: &'a Path,
    config: &'a Value,
}

impl<'a> Fields<'a> {
    /// The field's value; absent and null are the same, as in transformers.
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.config.get(name).filter(|value| !value.is_null())
    }

    fn fail<T>(&self, name: &str, expected: &str) -> Result<T> {
        let found = self.get(name).map_or_else(|| "nothing".to_owned(), Value::to_string);
        let found = shortened(&found, SHOWN);
        Err(Error::invalid(self.path, format!("`{name}`: expected {expected}, found {found}")))
    }

    /// A whole number from 1 to `most`.
    fn size(&self, name: &str, most: usize) -> Result<usize> {
        let value = self.get(name).and_then(Value::as_u64).and_then(|value| usize::try_from(value).ok());
        match value.filter(|value| (1..=most).contains(value)) {
            Some(value) => Ok(value),
            None => self.fail(name, &format!("a whole number from 1 to {most}")),
        }
    }

    fn size_or(&self, name: &str, default: usize, most: usize) -> Result<usize> {
        if self.get(name).is_some() { self.size(name, most) } else { Ok(default) }
    }

    /// A number of the range; NaN and infinity are in none.
    fn number_in(&self, name: &str, default: f64, range: RangeInclusive<f64>) -> Result<f64> {
        let number = self.number_or(name, default)?;
        let expected = || format!("a number from {:e} to {:e}", range.start(), range.end());
        if range.contains(&number) { Ok(number) } else { self.fail(name, &expected()) }
    }

    /// The object of that name.
    fn object(&self, name: &str) -> Result<Option<Self>> {
        match self.get(name) {
            None => Ok(None),
            Some(config) if config.is_object() => Ok(Some(Self { path: self.path, config })),
            Some(_) => self.fail(name, "an object"),
        }
    }

    fn number_or(&self, name: &str, default: f64) -> Result<f64> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(number),
                None => self.fail(name, "a number"),
            },
        }
    }

    fn flag_or(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => match value.as_bool() {
                Some(flag) => Ok(flag),
                None => self.fail(name, "true or false"),
            },
        }
    }

    fn text_or(&self, name: &str, default: &'a str) -> Result<&'a str> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => match value.as_str() {
                Some(text) => Ok(text),
                None => self.fail(name, "a string"),
            },
        }
    }
}
