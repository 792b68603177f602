//! The configs in a data set's card: the YAML before the text of its README.

use serde_json::{Map, Value};

use super::{LayoutError, yaml};

/// A config of a card.
pub(super) struct Config {
    /// Its name.
    pub(super) name: String,
    /// Whether it is the one that is meant where none is named.
    pub(super) is_default: bool,
    /// The folder that its files lie in.
    pub(super) data_dir: Option<String>,
    /// Splits with the patterns of their files; none where names of files tell.
    pub(super) data_files: Option<Vec<(String, Vec<String>)>>,
}

/// The configs of a README, in its order; none where it says nothing about them.
pub(super) fn configs(readme: &str) -> Result<Vec<Config>, LayoutError> {
    let Some(front) = front_matter(readme).filter(|text| text.contains("configs")) else {
        return Ok(Vec::new());
    };
    let card = yaml::parse(front).map_err(LayoutError::Card)?;
    match card.get("configs") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(configs)) => configs.iter().map(config).collect(),
        Some(_) => wrong("`configs` is no list"),
    }
}

/// The config that is meant.
pub(super) fn choose(mut configs: Vec<Config>, wanted: Option<&str>) -> Result<Config, LayoutError> {
    let names = || configs.iter().map(|config| config.name.clone()).collect::<Vec<_>>();
    let at = match wanted {
        Some(wanted) => configs
            .iter()
            .position(|config| config.name == wanted)
            .ok_or_else(|| LayoutError::NoConfig { config: wanted.to_owned(), found: names() })?,
        None if configs.len() == 1 => 0,
        None => {
            let is_meant = |config: &Config| config.is_default || config.name == "default";
            let meant: Vec<usize> = (0..configs.len()).filter(|at| is_meant(&configs[*at])).collect();
            match meant.as_slice() {
                [one] => *one,
                _ => return Err(LayoutError::ConfigNeeded { found: names() }),
            }
        }
    };
    Ok(configs.swap_remove(at))
}

/// What stands between `---` on the first line and the next one.
fn front_matter(readme: &str) -> Option<&str> {
    let readme = readme.strip_prefix('\u{feff}').unwrap_or(readme);
    let first = readme.lines().next()?;
    let rest = readme.get(first.len()..).filter(|_| first.trim_end() == "---")?;
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return rest.get(..end)?.strip_prefix("\r\n").or_else(|| rest.get(..end)?.strip_prefix('\n'));
        }
        end += line.len();
    }
    None
}

fn config(value: &Value) -> Result<Config, LayoutError> {
    let Value::Object(fields) = value else { return wrong("a config is no object") };
    let Some(name) = text(fields, "config_name") else { return wrong("a config without `config_name`") };
    let data_files = match fields.get("data_files") {
        None | Some(Value::Null) => None,
        Some(value) => Some(splits(value).ok_or_else(|| {
            LayoutError::Card(format!(
                "`data_files` of the config `{name}`: expected a path, a list of paths, or a list of `split` and `path`, \
                 no split twice"
            ))
        })?),
    };
    Ok(Config {
        name,
        is_default: fields.get("default") == Some(&Value::Bool(true)),
        data_dir: text(fields, "data_dir"),
        data_files,
    })
}

/// Paths without a split are training data.
fn splits(value: &Value) -> Option<Vec<(String, Vec<String>)>> {
    if let Some(paths) = paths(value) {
        return Some(vec![("train".to_owned(), paths)]);
    }
    let mut splits: Vec<(String, Vec<String>)> = Vec::new();
    for entry in value.as_array()? {
        let entry = entry.as_object().filter(|entry| entry.len() == 2)?;
        let (split, paths) = (text(entry, "split")?, paths(entry.get("path")?)?);
        if splits.iter().any(|(name, _)| *name == split) {
            return None;
        }
        splits.push((split, paths));
    }
    Some(splits)
}

/// One path, or a list of them.
fn paths(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(path) => Some(vec![path.clone()]),
        Value::Array(paths) => paths.iter().map(|path| path.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    fields.get(name)?.as_str().map(str::to_owned)
}

fn wrong<T>(reason: &str) -> Result<T, LayoutError> {
    Err(LayoutError::Card(reason.to_owned()))
}
