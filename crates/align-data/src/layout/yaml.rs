//! The YAML before a README's text as JSON values. Words stay texts, but for `true` and `false`.

use align_files::yaml::{self, Node};
use serde_json::Value;

/// The values.
///
/// # Errors
/// What is no YAML, or none that is read: the line of the README and the reason.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    match yaml::parse(text) {
        Ok(node) => Ok(node.map_or(Value::Null, json)),
        // The README's first line is the one before the YAML.
        Err(error) => Err(format!("line {}: {}", error.line + 1, crate::guard::shortened(&error.reason))),
    }
}

fn json(node: Node) -> Value {
    match node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Plain(word) => match word.as_str() {
            "true" | "True" | "TRUE" => Value::Bool(true),
            "false" | "False" | "FALSE" => Value::Bool(false),
            _ => Value::String(word),
        },
        yaml::Value::Text(text) => Value::String(text),
        yaml::Value::List(nodes) => nodes.into_iter().map(json).collect(),
        yaml::Value::Table(entries) => entries.into_iter().map(|(_, key, node)| (key, json(node))).collect(),
    }
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
    fn lines_are_those_of_the_readme() {
        let error = parse("a: 1\na: 2\n").unwrap_err();
        assert!(error.starts_with("line 3: a key that stands twice"), "{error}");
    }
}
