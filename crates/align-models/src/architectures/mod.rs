//! One short file per architecture: how its `config.json` maps onto the decoder.

mod llama;

use std::path::Path;

use serde_json::Value;

use crate::{DecoderConfig, Error, Result};

/// Reads the config of any supported architecture.
pub(crate) fn decoder_config(path: &Path, config: &Value) -> Result<DecoderConfig> {
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    match model_type {
        "llama" => llama::decoder_config(path, config),
        "" => Err(Error::invalid(path, "has no `model_type`; expected a Hugging Face model config")),
        other => Err(Error::invalid(path, format!("`model_type` is `{other}`; supported: llama"))),
    }
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
        Err(Error::invalid(self.path, format!("`{name}`: expected {expected}, found {found}")))
    }

    fn size(&self, name: &str) -> Result<usize> {
        match self.get(name).and_then(Value::as_u64) {
            Some(value @ 1..=0xffff_ffff) => Ok(value as usize),
            _ => self.fail(name, "a positive integer"),
        }
    }

    fn size_or(&self, name: &str, default: usize) -> Result<usize> {
        if self.get(name).is_some() { self.size(name) } else { Ok(default) }
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
