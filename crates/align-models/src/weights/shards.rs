//! Which files of a model directory hold its weights.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::error::SHOWN;
use crate::model_dir::read_json;
use crate::{Error, Result};

pub(crate) const SINGLE: &str = "model.safetensors";
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// The safetensors files of a directory, in order.
///
/// # Errors
/// If there are none; an index that is damaged, or names a file elsewhere.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    if dir.join(SINGLE).is_file() {
        return Ok(vec![dir.join(SINGLE)]);
    }
    let index = dir.join(INDEX);
    if !index.is_file() {
        let problem =
            format!("holds neither {SINGLE} nor {INDEX}; weights in other formats must be converted first");
        return Err(Error::invalid(dir, problem));
    }
    let json = read_json(&index)?;
    let Some(map) = json.get("weight_map").and_then(Value::as_object) else {
        return Err(Error::invalid(&index, "has no `weight_map`"));
    };
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return Err(Error::invalid(&index, "`weight_map` names no file"));
    }
    match names.iter().find(|name| !is_plain(name)) {
        None => Ok(names.into_iter().map(|name| dir.join(name)).collect()),
        Some(name) => {
            let name = align_text::shortened(name, SHOWN);
            Err(Error::invalid(
                &index,
                format!("`weight_map`: expected names of files beside it, found `{name}`"),
            ))
        }
    }
}

/// Whether it is the name of a file, without a way to another directory on any system.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let is_one = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    is_one && !name.contains(['/', '\\', ':', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_lie_beside_their_index() {
        let dir = tempfile::tempdir().unwrap();
        let with = |name: &str| {
            let json = serde_json::json!({ "weight_map": { "a": "model-1.safetensors", "b": name } });
            std::fs::write(dir.path().join(INDEX), json.to_string()).unwrap();
            files(dir.path())
        };
        assert_eq!(with("model-2.safetensors").unwrap().len(), 2);
        for name in ["../x", "/etc/passwd", "a/b", "..", ".", "", "a/", "..\\x", "C:x"] {
            let error = with(name).unwrap_err().to_string();
            assert!(
                error.ends_with(&format!("expected names of files beside it, found `{name}`")),
                "{error}"
            );
        }
    }
}
