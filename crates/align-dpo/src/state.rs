//! Small pieces of state beside the weights, as JSON in a checkpoint.

use std::path::Path;

use align_train::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn write(path: &Path, state: &impl Serialize) -> Result<()> {
    Ok(align_files::write_json(path, state)?)
}

pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|error| Error::stage(format!("{}: {error}", path.display())))
}
