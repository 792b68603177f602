//! Which options may differ between a checkpoint and the run that resumes it.
//!
//! A resumed run continues the same computation, so an option that enters into it must be the same.
//! Options about where, how long and how often may change; each change is said in one notice.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{Checkpoint, Error, Result};

/// Options that leave the updates themselves as they are. By the last part of a dotted name.
const FREE: &[&str] = &[
    "config",
    "device",
    "dry_run",
    "early_stopping_patience",
    "early_stopping_threshold",
    "eval_on_start",
    "eval_steps",
    "eval_strategy",
    "inspect",
    "load_best_model_at_end",
    "logging_first_step",
    "logging_steps",
    "max_steps",
    "num_train_epochs",
    "output_dir",
    "overwrite_output_dir",
    "per_device_eval_batch_size",
    "report_to",
    "resume_from_checkpoint",
    "save_steps",
    "save_strategy",
    "save_total_limit",
    "total_episodes",
];

/// Those of them that every resume changes, or that say nothing of the run.
const UNSAID: &[&str] =
    &["config", "dry_run", "inspect", "output_dir", "overwrite_output_dir", "resume_from_checkpoint"];

/// Compares the options of a checkpoint with those of the run that resumes it. Changes among the free
/// options are logged.
///
/// # Errors
/// If any other option changed: all of those, with old and new value.
pub(crate) fn compare(checkpoint: &Checkpoint, old: &Value, new: &Value) -> Result<()> {
    let (old, new) = (flattened(old), flattened(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let (free, fixed): (Vec<&String>, Vec<&String>) = names
        .into_iter()
        .filter(|&name| old.get(name) != new.get(name))
        .partition(|name| FREE.contains(&last_part(name)));
    let describe = |names: &[&String]| {
        let one =
            |name: &&String| format!("{name} was {}, is {}", shown(old.get(*name)), shown(new.get(*name)));
        names.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    if !fixed.is_empty() {
        let path = checkpoint.path().to_owned();
        return Err(Error::OptionsChanged { path, changes: describe(&fixed) });
    }
    let moves_schedule =
        free.iter().any(|name| name.ends_with("max_steps") || name.ends_with("num_train_epochs"));
    let told: Vec<&String> = free.into_iter().filter(|name| !UNSAID.contains(&last_part(name))).collect();
    if !told.is_empty() {
        tracing::warn!("resuming with changed options: {}", describe(&told));
    }
    if moves_schedule {
        tracing::warn!("the length of the run changed, and with it the learning rates of the steps to come");
    }
    Ok(())
}

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "unset".to_owned(), Value::to_string)
}

/// Nested objects as one, with dotted names.
fn flattened(value: &Value) -> Map<String, Value> {
    fn walk(value: &Value, name: &str, into: &mut Map<String, Value>) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                    walk(value, &name, into);
                }
            }
            // An option that is not set and one that the program did not have yet are the same.
            Value::Null => {}
            value => drop(into.insert(name.to_owned(), value.clone())),
        }
    }
    let mut flat = Map::new();
    walk(value, "", &mut flat);
    flat
}
