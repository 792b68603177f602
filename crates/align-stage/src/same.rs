//! What ranks that train together must have the same, each by its name: whatever enters into the weights.

use std::collections::BTreeMap;

use align_kernels::Params;
use align_train::{check_same, file_hash, weights_hash};
use serde_json::Value;

use crate::{Opening, Result};

/// Refuses ranks with other options: they would not even say the same things to each other.
pub(crate) fn check_options(opening: &Opening<'_>) -> Result<()> {
    Ok(check_same(&opening.host.ranks, options(opening.options()))?)
}

/// Refuses ranks that would not train the same: everything that enters into the weights is compared by its hash.
pub(crate) fn check_inputs(opening: &Opening<'_>, params: &Params, settings: &Value) -> Result<()> {
    let ranks = &opening.host.ranks;
    if ranks.is_alone() {
        return Ok(());
    }
    let mut own = options(opening.options());
    own.insert("weights".to_owned(), weights_hash(params)?);
    own.insert("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    if let Ok(program) = std::env::current_exe() {
        own.insert("program (its file)".to_owned(), file_hash(&program)?);
    }
    let others = settings.as_object().into_iter().flatten().filter(|(what, _)| *what != "options");
    own.extend(others.map(|(what, value)| (what.replace('_', " "), value.to_string())));
    Ok(check_same(ranks, own)?)
}

/// All options by their names.
fn options(groups: &Value) -> BTreeMap<String, String> {
    let groups = groups.as_object().into_iter().flatten();
    let options = groups.flat_map(|(_, group)| group.as_object().into_iter().flatten());
    options.map(|(option, value)| (format!("option `{option}`"), value.to_string())).collect()
}
