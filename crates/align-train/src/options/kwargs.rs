//! Arguments within an option: `--lr-scheduler-kwargs '{"num_cycles": 2}'`, `--optim-args momentum=0.9,nesterov=true`. Both
//! options take a JSON object as well as `key=value`s.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Arguments that are taken one by one; [`Arguments::finish`] refuses those that nobody took.
pub(super) struct Arguments {
    option: &'static str,
    /// What takes the arguments, for errors: `lr_scheduler_type cosine`.
    taker: String,
    written: String,
    values: Map<String, Value>,
    taken: Vec<&'static str>,
}

impl Arguments {
    /// The arguments of an option, none if it is not given.
    ///
    /// # Errors
    /// What is neither an object nor `key=value`s; a key twice.
    pub(super) fn of(option: &'static str, written: Option<&str>, taker: String) -> Result<Self> {
        let text = written.unwrap_or_default().trim();
        let values = match text {
            "" if written.is_some() => return Err(Error::option(option, "\"\"", "is empty; remove it")),
            "" => Ok(Map::new()),
            json if json.starts_with('{') => object(json),
            pairs => key_values(pairs),
        };
        let values = values.map_err(|problem| Error::option(option, shortened(text), problem))?;
        Ok(Self { option, taker, written: shortened(text), values, taken: Vec::new() })
    }

    /// A number in a range, both ends included.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.take(key, &expected, |value| value.as_f64().filter(|number| range.contains(number)))
    }

    /// A whole number in a range, both ends included.
    pub(super) fn whole(&mut self, key: &'static str, range: RangeInclusive<usize>) -> Result<Option<usize>> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let whole = |value: &Value| {
            let number = value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0)?;
            Some(number as usize).filter(|number| range.contains(number))
        };
        self.take(key, &expected, whole)
    }

    /// A switch.
    pub(super) fn truth(&mut self, key: &'static str) -> Result<Option<bool>> {
        self.take(key, "true or false", |value| match value {
            Value::Bool(truth) => Some(*truth),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        })
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Result<Option<T>> {
        let names = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        self.take(key, &format!("one of {names}"), |value| {
            let text = value.as_str()?;
            words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
        })
    }

    /// # Errors
    /// The first argument that was not taken: it would have no effect.
    pub(super) fn finish(self) -> Result<()> {
        let Some(key) = self.values.keys().next() else { return Ok(()) };
        let (key, taker) = (shortened(key), self.taker);
        match self.taken.as_slice() {
            // An option above it may have chosen what takes none.
            [] => {
                let problem = format!("`{key}` has no effect: {taker} takes no arguments");
                Err(Error::no_effect(self.option, self.written, problem))
            }
            taken => {
                let problem = format!("`{key}` is none of its arguments: {taker} takes {}", taken.join(", "));
                Err(Error::option(self.option, self.written, problem))
            }
        }
    }

    fn take<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        self.taken.push(key);
        let Some(value) = self.values.remove(key) else { return Ok(None) };
        let wrong = || {
            let problem = format!("`{key}` must be {expected}, found {}", shortened(&value.to_string()));
            Error::option(self.option, self.written.clone(), problem)
        };
        read(&value).map(Some).ok_or_else(wrong)
    }
}

fn object(json: &str) -> Result<Map<String, Value>, String> {
    let Object(values) = serde_json::from_str(json)
        .map_err(|error| format!("expected a JSON object or key=value, …: {error}"))?;
    Ok(values)
}

/// A JSON object whose keys stand once: serde_json's own lets the last one win.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor).map(Self)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut values = Map::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            let key_again = shortened(&key);
            if values.insert(key, value).is_some() {
                return Err(A::Error::custom(format_args!("`{key_again}` is given twice")));
            }
        }
        Ok(values)
    }
}

fn key_values(pairs: &str) -> Result<Map<String, Value>, String> {
    let mut values = Map::new();
    for pair in pairs.split(',') {
        let Some((key, value)) = pair.split_once('=') else {
            let found = shortened(pair.trim());
            return Err(format!(
                "expected a JSON object or key=value, … separated by commas, found `{found}`"
            ));
        };
        let (key, value) = (key.trim().to_owned(), value.trim());
        // Python writes numbers that JSON does not: `.5`, `1.`, `1e-7` are all one.
        let number = value.parse().ok().and_then(serde_json::Number::from_f64).map(Value::Number);
        let value = number.unwrap_or_else(|| Value::String(value.to_owned()));
        if values.insert(key.clone(), value).is_some() {
            return Err(format!("`{}` is given twice", shortened(&key)));
        }
    }
    Ok(values)
}

fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(written: &str) -> Result<Arguments> {
        Arguments::of("optim_args", Some(written), "optim sgd".to_owned())
    }

    #[test]
    fn an_object_and_pairs_say_the_same() {
        for written in
            [r#"{"momentum": 0.9, "nesterov": true, "ns_steps": 5}"#, "momentum=.9, nesterov=True,ns_steps=5"]
        {
            let mut arguments = of(written).unwrap();
            assert_eq!(arguments.number("momentum", 0.0..=1.0).unwrap(), Some(0.9));
            assert_eq!(arguments.truth("nesterov").unwrap(), Some(true));
            assert_eq!(arguments.whole("ns_steps", 1..=9).unwrap(), Some(5));
            assert_eq!(arguments.number("dampening", 0.0..=1.0).unwrap(), None);
            arguments.finish().unwrap();
        }
    }

    #[test]
    fn what_is_none_is_refused_in_one_line() {
        for (written, part) in [
            ("", "is empty"),
            ("momentum", "found `momentum`"),
            ("a=1,a=2", "given twice"),
            (r#"{"a": 1, "a": 1}"#, "`a` is given twice"),
            ("{", "JSON object"),
            ("[1]", "key=value"),
        ] {
            let error = of(written).err().unwrap().to_string();
            assert!(error.contains(part) && !error.contains('\n'), "{written}: {error}");
        }
        let mut arguments = of("momentum=2").unwrap();
        let error = arguments.number("momentum", 0.0..=1.0).unwrap_err().to_string();
        assert!(error.contains("`momentum` must be a number from 0 to 1, found 2"), "{error}");
        for odd in ["ns_steps=1.5", "ns_steps=-1", "ns_steps=nan", "ns_steps=1e300", "ns_steps=x"] {
            assert!(of(odd).unwrap().whole("ns_steps", 1..=9).is_err(), "{odd}");
        }
    }

    #[test]
    fn what_nobody_takes_is_refused() {
        let mut arguments = of("lr=1").unwrap();
        arguments.number("momentum", 0.0..=1.0).unwrap();
        let error = arguments.finish().unwrap_err().to_string();
        assert_eq!(error, "`optim_args` = lr=1: `lr` is none of its arguments: optim sgd takes momentum");
    }
}
