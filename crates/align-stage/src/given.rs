//! Which options somebody set: what a method can refuse because it would have no effect.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::{Error, Result};

/// The given options, by name: those that were set to something else than their defaults.
#[derive(Clone, Debug, Default)]
pub struct Given {
    set: BTreeSet<String>,
    known: BTreeSet<String>,
}

impl Given {
    /// The options that were `set` of all `known` ones, as a command line knows them.
    pub fn new(set: BTreeSet<String>, known: BTreeSet<String>) -> Self {
        Self { set, known }
    }

    /// The options, in groups, that differ from `defaults`.
    pub fn of(options: &Value, defaults: &Value) -> Self {
        let names = |pairs: &mut dyn Iterator<Item = (&String, &Value)>| -> BTreeSet<String> {
            pairs.map(|(name, _)| name.clone()).collect()
        };
        let all = || grouped(options).flat_map(|(_, group)| group);
        let changed = |(group, name, value): &(&String, &String, &Value)| defaults[group][name] != **value;
        let set = grouped(options)
            .flat_map(|(group, options)| options.iter().map(move |(name, value)| (group, name, value)))
            .filter(changed)
            .map(|(_, name, _)| name.clone());
        Self { set: set.collect(), known: names(&mut all()) }
    }

    /// True if the option was set.
    pub fn has(&self, option: &str) -> bool {
        self.set.contains(option)
    }

    /// Refuses options that were set although they can have no effect, for the reason in `because`.
    ///
    /// # Errors
    /// Names the first one that was set.
    ///
    /// # Panics
    /// In a debug build, if there is no option of a name: it could never be set, and never refused.
    pub fn refuse(&self, names: &[&str], because: &str) -> Result<()> {
        for name in names {
            debug_assert!(self.known.contains(*name), "there is no option `{name}`");
        }
        match names.iter().find(|name| self.has(name)) {
            None => Ok(()),
            Some(name) => Err(Error::no_effect(*name, because)),
        }
    }

    /// Refuses `model_revision` beside a model that does not come from the hub.
    ///
    /// # Errors
    /// If it was set and `model` is a directory.
    pub fn refuse_revision_of_directory(&self, model: &str) -> Result<()> {
        if !Path::new(model).exists() {
            return Ok(());
        }
        self.refuse(&["model_revision"], "the model is on disk, and revisions are of the hub")
    }
}

/// Groups of options with their names.
fn grouped(options: &Value) -> impl Iterator<Item = (&String, &serde_json::Map<String, Value>)> {
    let groups = options.as_object().into_iter().flatten();
    groups.filter_map(|(group, options)| Some((group, options.as_object()?)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_option_without_effect_is_refused_if_it_was_set() {
        let defaults = json!({ "dpo": { "beta": null, "gamma": 1.0 }, "train": { "max_steps": -1 } });
        let options = json!({ "dpo": { "beta": 0.1, "gamma": 1.0 }, "train": { "max_steps": -1 } });
        let given = Given::of(&options, &defaults);
        assert!(given.refuse(&["gamma", "max_steps"], "so").is_ok());
        let error = given.refuse(&["gamma", "beta"], "without `--x`").unwrap_err().to_string();
        assert_eq!(error, "`beta`: has no effect, without `--x`; remove it");
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "there is no option `bata`")]
    fn a_misspelt_option_in_a_list_is_found() {
        drop(Given::of(&json!({}), &json!({})).refuse(&["bata"], "so"));
    }
}
