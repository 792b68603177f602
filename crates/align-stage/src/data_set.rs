//! A data set of which a job that does not train reads one split.

use align_data::Dataset;
use align_hub::Hub;

use crate::{Error, Result};

/// The data set of this name, of which `split` will be read: in its default config, or in `config`, of which only the split is
/// then fetched.
///
/// # Errors
/// A data set that is not found or has no such config or split; a config of a file, which has none.
pub fn data_set(hub: &Hub, name: &str, config: Option<&str>, split: &str) -> Result<Dataset> {
    let Some(config) = config else { return Ok(hub.dataset(name)?.into()) };
    let dataset = hub.dataset_split(name, Some(config), split, None)?;
    if dataset.path.is_dir() {
        return Ok(dataset);
    }
    let because = format!("{name} is a file, all of which is read");
    Err(Error::no_effect("dataset_config", because))
}
