//! A job's options as what was given, and as the text that repeats the run.

use serde::Serialize;
use serde_json::Value;

use crate::place::Named;
use crate::{Error, Given, Host, Result};

/// Options of one run, which its repeat does not have.
const OF_ONE_RUN: [&str; 3] = ["output_dir", "overwrite_output_dir", "resume_from_checkpoint"];

/// The options that were given: as the host says, or those that differ from the defaults.
///
/// # Errors
/// Options that cannot be written as JSON.
pub fn given<J: Serialize + Default>(host: &Host<'_>, job: &J) -> Result<Given> {
    let options = |job: &J| serde_json::to_value(job).map_err(Error::method);
    host.given.clone().map_or_else(|| Ok(Given::of(&options(job)?, &options(&J::default())?)), Ok)
}

/// All options of a job as the text (TOML) that repeats it: as the host has it, else as they are.
///
/// # Errors
/// Options that cannot be written as JSON.
pub fn settings<J: Serialize>(host: &Host<'_>, job: &J) -> Result<String> {
    let options = || serde_json::to_value(job).map_err(Error::method);
    host.settings.clone().map_or_else(|| Ok(written(&options()?)), Ok)
}

/// Options by groups as lines of TOML.
pub(crate) fn written(options: &Value) -> String {
    let groups = options.as_object().into_iter().flat_map(|groups| groups.values());
    let options = groups.filter_map(Value::as_object).flatten();
    let options = options.filter(|(name, value)| !value.is_null() && !OF_ONE_RUN.contains(&name.as_str()));
    options.map(|(name, value)| line(name, value)).collect()
}

/// What JSON calls numbers, strings and lists of them is the same in TOML.
pub(crate) fn line(option: &str, value: &Value) -> String {
    format!("{option} = {value}\n")
}

/// The texts in the values of options that were given.
pub(crate) fn named(options: &Value, given: &Given) -> Vec<Named> {
    let groups = options.as_object().into_iter().flat_map(|groups| groups.values());
    let options = groups.filter_map(Value::as_object).flatten();
    let options = options.filter(|(name, _)| given.has(name) && !OF_ONE_RUN.contains(&name.as_str()));
    let texts = |(name, value): (&String, &Value)| {
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        list.iter().filter_map(|text| Some((name.clone(), text.as_str()?.to_owned()))).collect::<Vec<_>>()
    };
    options.flat_map(texts).collect()
}
