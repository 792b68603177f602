//! Golden files: named inputs and, per case, the outputs and gradients another implementation computed.
//!
//! ```json
//! {"meta": {"versions": {}},
//!  "input_sets": {"pair/zeros": {"chosen_logps": [-1.5, -2.0]}},
//!  "cases": [{"id": "dpo.sigmoid#0", "loss": "dpo.sigmoid", "source": "...", "params": {"beta": 0.1},
//!             "inputs": "pair/zeros", "outputs": {"loss": 0.69}, "grads": {"chosen_logps": [-0.05, -0.05]}}]}
//! ```
//!
//! `inputs` is the name of a set or the inputs themselves. Numbers are f64; the non-finite ones are strings
//! (`"inf"`, `"-inf"`, `"nan"`), which JSON has no numbers for. What a name means is up to the test.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Error, Result, Tensor, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A golden file, read whole.
#[derive(Debug, Clone, Deserialize)]
pub struct GoldenFile {
    /// Where the numbers come from: versions, encoding, notes.
    #[serde(default)]
    pub meta: Value,
    /// Inputs that several cases share, by name.
    #[serde(default)]
    pub input_sets: BTreeMap<String, Map<String, Value>>,
    /// The cases in the file's order.
    pub cases: Vec<Case>,
}

/// One function at one point.
#[derive(Debug, Clone, Deserialize)]
pub struct Case {
    /// Unique in the file.
    pub id: String,
    /// Which function.
    pub loss: String,
    /// Whose code computed it.
    #[serde(default)]
    pub source: String,
    /// The function's plain arguments.
    #[serde(default)]
    pub params: Map<String, Value>,
    inputs: Inputs,
    /// The expected results by name.
    pub outputs: Map<String, Value>,
    /// The expected gradients by name.
    #[serde(default)]
    pub grads: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Inputs {
    Shared(String),
    Own(Map<String, Value>),
}

/// An array of numbers as the file holds it: a nested list, or a single number with shape `[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The length of each level.
    pub shape: Vec<usize>,
    /// The numbers, row by row.
    pub values: Vec<f64>,
}

impl GoldenFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or is not of the format; the message names the file.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::msg(format!("{}: {e}", path.display())))?;
        serde_json::from_str(&text).map_err(|e| Error::msg(format!("{}: {e}", path.display())))
    }

    /// All inputs of a case by name, from its own or its named set.
    ///
    /// # Errors
    /// If the set does not exist.
    pub fn inputs<'a>(&'a self, case: &'a Case) -> Result<&'a Map<String, Value>> {
        match &case.inputs {
            Inputs::Own(inputs) => Ok(inputs),
            Inputs::Shared(name) => match self.input_sets.get(name) {
                Some(inputs) => Ok(inputs),
                None => bail!("{}: no input set named {name:?} in the file", case.id),
            },
        }
    }

    /// One input of a case.
    ///
    /// # Errors
    /// If it is missing or not an array of numbers.
    pub fn input(&self, case: &Case, name: &str) -> Result<Array> {
        field(&case.id, "input", self.inputs(case)?, name)
    }
}

impl Case {
    /// An expected result.
    ///
    /// # Errors
    /// If it is missing or not an array of numbers.
    pub fn output(&self, name: &str) -> Result<Array> {
        field(&self.id, "output", &self.outputs, name)
    }

    /// An expected gradient.
    ///
    /// # Errors
    /// If it is missing or not an array of numbers.
    pub fn grad(&self, name: &str) -> Result<Array> {
        field(&self.id, "gradient", &self.grads, name)
    }

    /// A plain number among the parameters.
    ///
    /// # Errors
    /// If it is missing or not a number.
    pub fn number(&self, name: &str) -> Result<f64> {
        match field(&self.id, "parameter", &self.params, name)?.values.as_slice() {
            [value] => Ok(*value),
            other => bail!("{}: expected parameter {name} to be one number, got {}", self.id, other.len()),
        }
    }
}

impl Array {
    /// Reads a nested list of numbers.
    ///
    /// # Errors
    /// If it is ragged or holds anything but numbers and the three strings.
    pub fn parse(value: &Value) -> Result<Self> {
        let mut array = Self { shape: shape_of(value), values: Vec::new() };
        array.collect(value, 0)?;
        Ok(array)
    }

    /// The array as a tensor on the CPU.
    ///
    /// # Errors
    /// If candle cannot convert to the type.
    pub fn tensor(&self, dtype: DType) -> Result<Tensor> {
        Tensor::from_slice(&self.values, self.shape.as_slice(), &Device::Cpu)?.to_dtype(dtype)
    }

    fn collect(&mut self, value: &Value, depth: usize) -> Result<()> {
        match value {
            Value::Array(items) if self.shape.get(depth) == Some(&items.len()) => {
                items.iter().try_for_each(|item| self.collect(item, depth + 1))
            }
            Value::Array(items) => {
                bail!("expected {:?} at depth {depth}, got {} items", self.shape, items.len())
            }
            _ if depth != self.shape.len() => bail!("expected lists {} deep, got {value}", self.shape.len()),
            _ => {
                self.values.push(number(value)?);
                Ok(())
            }
        }
    }
}

fn field(id: &str, kind: &str, fields: &Map<String, Value>, name: &str) -> Result<Array> {
    let Some(value) = fields.get(name) else {
        bail!("{id}: no {kind} named {name:?}, only {:?}", fields.keys().collect::<Vec<_>>());
    };
    Array::parse(value).map_err(|e| Error::msg(format!("{id}: {kind} {name:?}: {e}")))
}

fn shape_of(value: &Value) -> Vec<usize> {
    let mut shape = Vec::new();
    let mut level = value;
    while let Value::Array(items) = level {
        shape.push(items.len());
        let Some(first) = items.first() else { break };
        level = first;
    }
    shape
}

fn number(value: &Value) -> Result<f64> {
    match value {
        Value::Number(number) => number.as_f64().ok_or_else(|| Error::msg(format!("{number} is not an f64"))),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::String(text) if text == "inf" => Ok(f64::INFINITY),
        Value::String(text) if text == "-inf" => Ok(f64::NEG_INFINITY),
        Value::String(text) if text == "nan" => Ok(f64::NAN),
        other => bail!("expected a number, \"inf\", \"-inf\" or \"nan\", got {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_array_keeps_shape_order_and_non_finite_values() {
        let array = Array::parse(&json!([[1.5, "inf"], ["-inf", -0.0]])).unwrap();
        assert_eq!(array.shape, [2, 2]);
        assert_eq!(array.values, [1.5, f64::INFINITY, f64::NEG_INFINITY, 0.0]);
        assert!(Array::parse(&json!("nan")).unwrap().values[0].is_nan());
    }

    #[test]
    fn ragged_lists_and_other_values_are_refused() {
        for bad in [
            json!([[1.0], [1.0, 2.0]]),
            json!([[1.0], 2.0]),
            json!([1.0, [2.0]]),
            json!(["infinity"]),
            json!(null),
        ] {
            assert!(Array::parse(&bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_missing_set_is_named() {
        let file: GoldenFile = serde_json::from_value(
            json!({"cases": [{"id": "a#0", "loss": "a", "inputs": "s", "outputs": {}}]}),
        )
        .unwrap();
        let error = file.input(&file.cases[0], "x").unwrap_err().to_string();
        assert!(error.contains("a#0") && error.contains("\"s\""), "{error}");
    }
}
