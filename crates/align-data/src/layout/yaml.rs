//! YAML as JSON values: what stands before a README's text.
//!
//! Strangers write it, so it has bounds: depth, values, and no aliases, with which a line can stand for any number of
//! them. Scalars stay texts, but for `true`, `false` and what says nothing.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

const DEEPEST: usize = 32;
const MOST_VALUES: usize = 200_000;

/// The first document.
///
/// # Errors
/// What is no YAML, uses aliases, or is deeper or longer than any that people write: the line and the reason.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut values = 0;
    for event in Parser::new_from_str(text) {
        let (event, place) = event.map_err(|error| at(error.marker().line(), error.info()))?;
        let wrong = |reason: &str| Err(at(place.start.line(), reason));
        let whole = match event {
            Event::Scalar(text, style, ..) => scalar(text.into_owned(), style),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() == DEEPEST => {
                return wrong("nested too deeply");
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Object(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(values)) => Value::Array(values),
                Some(Open::Object(values, _)) => Value::Object(values),
                None => return wrong("an end without a beginning"),
            },
            Event::Alias(_) => {
                return wrong("an alias (`*name`), which is not read: write out what it stands for");
            }
            Event::DocumentEnd | Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
        };
        values += 1;
        if values > MOST_VALUES {
            return wrong("too many values");
        }
        match open.last_mut() {
            None => return Ok(whole),
            Some(Open::List(values)) => values.push(whole),
            Some(Open::Object(_, key @ None)) => match whole {
                Value::String(name) => *key = Some(name),
                other => *key = Some(other.to_string()),
            },
            Some(Open::Object(values, key)) => {
                if values.insert(key.take().unwrap_or_default(), whole).is_some() {
                    return wrong("a key that stands twice");
                }
            }
        }
    }
    Ok(Value::Null)
}

/// What has begun and not ended.
enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Object(Map<String, Value>, Option<String>),
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    match (style, text.as_str()) {
        (ScalarStyle::Plain, "true" | "True" | "TRUE") => Value::Bool(true),
        (ScalarStyle::Plain, "false" | "False" | "FALSE") => Value::Bool(false),
        (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        _ => Value::String(text),
    }
}

fn at(line: usize, reason: &str) -> String {
    // The README's first line is the one before the YAML.
    format!("line {}: {}", line + 1, crate::guard::shortened(reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        let text = "configs:\n- config_name: default\n  default: true\n  data_files:\n  - split: train\n    path: [a, 'b']\nsize: 5\nnote:\n";
        let expected = serde_json::json!({
            "configs": [{"config_name": "default", "default": true,
                "data_files": [{"split": "train", "path": ["a", "b"]}]}],
            "size": "5", "note": null,
        });
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(parse("").unwrap(), Value::Null);
    }

    #[test]
    fn what_nobody_writes_is_refused_with_its_line() {
        let check = |text: &str, expected: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("a: 1\nb: [1", "line ");
        check("a: &x 1\nb: *x\n", "line 3: an alias");
        check(&"[".repeat(40), "nested too deeply");
        check(&"[".repeat(100_000), "line 2: ");
        check("a: 1\na: 2\n", "line 3: a key that stands twice");
        check(&"- a\n".repeat(200_001), "too many values");
    }
}
