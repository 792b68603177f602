//! Which options may differ between a checkpoint and the run that resumes it.
//!
//! A resumed run continues the same computation, so an option that enters into it must be the same.
//! Options about where, how long and how often may change; each change is said in one notice.

mod ranks;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Checkpoint, Error, Result, TrainConfig};

/// Options that leave the updates themselves as they are: the group that a program has them in, and the name. Nothing else
/// that has the same name is meant.
pub const FREE_OPTIONS: &[(&str, &str)] = &[
    ("model", "device"),
    ("output", "output_dir"),
    ("output", "overwrite_output_dir"),
    ("output", "save_dtype"),
    ("outside", "reward_timeout"),
    ("rollout", "total_episodes"),
    ("train", "early_stopping_patience"),
    ("train", "early_stopping_threshold"),
    ("train", "eval_on_start"),
    ("train", "eval_steps"),
    ("train", "eval_strategy"),
    ("train", "load_best_model_at_end"),
    ("train", "logging_first_step"),
    ("train", "logging_steps"),
    ("train", "max_memory"),
    ("train", "max_steps"),
    ("train", "num_train_epochs"),
    ("train", "per_device_eval_batch_size"),
    ("train", "report_to"),
    ("train", "resume_from_checkpoint"),
    ("train", "save_steps"),
    ("train", "save_strategy"),
    ("train", "save_total_limit"),
    ("train", "shard"),
];

/// Where the hashes of models that do not move are among the settings, by what the models are for.
const FROZEN: &str = "frozen.";

/// Options that name what a run reads, and the setting that says what was in it: where that is the same, the name does not
/// matter.
const BY_CONTENT: &[(&str, &str)] = &[
    ("data.dataset_name", "training_rows"),
    ("data.datasets", "training_rows"),
    ("data.dataset_mixer", "training_rows"),
    ("dpo.ref_model", "frozen.reference"),
    ("rollout.ref_model", "frozen.reference"),
    ("reward.reward_model_path", "frozen.reward_model"),
    // Where no other is named the reference is the model; elsewhere it says nothing of it.
    ("model.model_name_or_path", "frozen.reference"),
];

/// Those of them that every resume changes, or that say nothing of the run.
const UNSAID: &[&str] = &["output.output_dir", "output.overwrite_output_dir", "train.resume_from_checkpoint"];

/// Options that checkpoints of an earlier version lack, and the values, in JSON, that say what it did.
const LATER: &[(&str, &str)] = &[
    ("train.optim", "\"adamw_torch\""),
    ("train.shard", "\"none\""),
    ("sft.label_smoothing_factor", "0.0"),
    ("model.bf16", "false"),
    ("data.dataset_streaming", "false"),
];

/// The instructions that the CPU's kernels use.
const CPU: &str = "cpu";

/// The settings of a run, as its checkpoints have them.
pub(crate) fn of(settings: &impl Serialize, config: &TrainConfig) -> Result<Value> {
    let mut settings = serde_json::to_value(settings).map_err(Error::stage)?;
    if let (Some(settings), false) = (settings.as_object_mut(), config.ranks.is_alone()) {
        settings.insert(ranks::RANKS.to_owned(), config.ranks.size().into());
    }
    Ok(settings)
}

/// Compares the options of a checkpoint with those of the run that resumes it. Changes among the free
/// options are logged.
///
/// # Errors
/// If any other option changed: all of those, with old and new value.
pub(crate) fn compare(checkpoint: &Checkpoint, old: &Value, new: &Value) -> Result<()> {
    let (mut old, mut new) = (flattened(old), flattened(new));
    if let (Some(before), Some(now)) = (old.remove(CPU), new.remove(CPU))
        && before != now
    {
        tracing::warn!(
            "the run was on a CPU that computes with {before} and goes on with {now}: it ends with other bits than it would have"
        );
    }
    ranks::compare(&mut old, &mut new)
        .map_err(|changes| Error::OptionsChanged { path: checkpoint.path().to_owned(), changes })?;
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = |name: &String| {
        let (old, new) = (old.get(name), new.get(name));
        old != new && !same_place(old, new) && !(old.is_none() && is_as_before(name, new))
    };
    let (free, fixed): (Vec<&String>, Vec<&String>) =
        names.into_iter().filter(|&name| differs(name)).partition(|name| {
            (is_free(name) && !decides_rates(name, &new)) || has_same_content(name, &old, &new)
        });
    let describe = |names: &[&String]| {
        let one =
            |name: &&String| format!("{name} was {}, is {}", shown(old.get(*name)), shown(new.get(*name)));
        names.iter().map(one).collect::<Vec<_>>().join("; ")
    };
    let (frozen, fixed): (Vec<&String>, Vec<&String>) =
        fixed.into_iter().partition(|name| name.starts_with(FROZEN));
    if !fixed.is_empty() {
        let path = checkpoint.path().to_owned();
        return Err(Error::OptionsChanged { path, changes: describe(&fixed) });
    }
    compare_frozen(checkpoint, &frozen, &old)?;
    let moves_schedule =
        free.iter().any(|name| name.ends_with("max_steps") || name.ends_with("num_train_epochs"));
    let told: Vec<&String> = free.into_iter().filter(|name| !UNSAID.contains(&option(name))).collect();
    if !told.is_empty() {
        tracing::warn!("resuming with changed options: {}", describe(&told));
    }
    if moves_schedule {
        tracing::warn!("the length of the run changed, and with it the learning rates of the steps to come");
    }
    Ok(())
}

/// A model that does not move is not in a checkpoint; it must be the one that the checkpoint was made with.
fn compare_frozen(checkpoint: &Checkpoint, changed: &[&String], old: &Map<String, Value>) -> Result<()> {
    let (known, unknown): (Vec<&&String>, _) = changed.iter().partition(|name| old.contains_key(**name));
    let names = |names: &[&&String]| {
        names.iter().map(|name| name[FROZEN.len()..].replace('_', " ")).collect::<Vec<_>>().join(", the ")
    };
    if !known.is_empty() {
        let path = checkpoint.path().to_owned();
        return Err(Error::ModelsChanged { path, models: names(&known) });
    }
    if !unknown.is_empty() {
        let (path, models) = (checkpoint.path().display(), names(&unknown));
        tracing::warn!("{path} does not say what the {models} was; whether it changed cannot be told");
    }
    Ok(())
}

/// The name of an option, which programs keep apart from what else must agree.
fn option(name: &str) -> &str {
    name.strip_prefix("options.").unwrap_or(name)
}

/// Whether the option may change. Settings without groups, as a program of its own may have them, go by the name alone.
fn is_free(name: &str) -> bool {
    let name = option(name);
    FREE_OPTIONS.iter().any(|(group, option)| match name.split_once('.') {
        Some(parts) => parts == (*group, *option),
        None => name == *option,
    })
}

/// Whether the learning rate goes by evaluations, and the option says when they are.
fn decides_rates(name: &str, settings: &Map<String, Value>) -> bool {
    let says_when = ["eval_steps", "eval_strategy"].contains(&name.rsplit('.').next().unwrap_or(name));
    let by_evaluations = |(name, value): (&String, &Value)| {
        name.ends_with("lr_scheduler_type") && value == "reduce_lr_on_plateau"
    };
    says_when && settings.iter().any(by_evaluations)
}

/// Whether an option has the value that says what was done before there was such an option.
fn is_as_before(name: &str, new: Option<&Value>) -> bool {
    let is = |it: &str| it == option(name) || it.split_once('.').is_some_and(|(_, bare)| bare == name);
    let before = LATER.iter().find(|(it, _)| is(it));
    before.is_some_and(|(_, value)| serde_json::from_str(value).ok().as_ref() == new)
}

/// Whether two values are paths that lead to the same file or folder, however they are written.
fn same_place(old: Option<&Value>, new: Option<&Value>) -> bool {
    let place = |value: Option<&Value>| Path::new(value?.as_str()?).canonicalize().ok();
    place(old).is_some_and(|old| place(new) == Some(old))
}

/// Whether an option names something else with the same content.
fn has_same_content(name: &str, old: &Map<String, Value>, new: &Map<String, Value>) -> bool {
    let Some((option, hash)) = BY_CONTENT.iter().find(|(it, _)| *it == option(name)) else { return false };
    let is_given = |settings: &Map<String, Value>| settings.contains_key(name);
    let names_reference =
        |settings: &Map<String, Value>| settings.keys().any(|name| name.ends_with(".ref_model"));
    let says_it = *option != "model.model_name_or_path" || !(names_reference(old) || names_reference(new));
    says_it && is_given(old) && is_given(new) && old.contains_key(*hash) && old.get(*hash) == new.get(*hash)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_option_that_is_meant_is_free() {
        for name in ["model.device", "options.train.eval_steps", "rollout.total_episodes", "eval_steps"] {
            assert!(is_free(name), "{name}");
        }
        for name in [
            "reward.config",
            "reward.device",
            "options.data.output_dir",
            "train.a.eval_steps",
            "learning_rate",
        ] {
            assert!(!is_free(name), "{name}");
        }
    }

    #[test]
    fn an_option_that_is_newer_than_a_checkpoint_may_say_what_was_done_then() {
        let is = |name, value: &str| is_as_before(name, Some(&value.into()));
        assert!(is("options.train.optim", "adamw_torch") && is("optim", "adamw_torch"));
        assert!(is_as_before("options.sft.label_smoothing_factor", Some(&0.0.into())));
        assert!(!is("options.train.optim", "lion") && !is("options.train.seed", "adamw_torch"));
    }

    #[test]
    fn what_is_named_otherwise_may_be_the_same() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("model")).unwrap();
        let written = |path: &str| Value::from(format!("{}/{path}", dir.path().display()));
        let same = |a: &str, b: &str| same_place(Some(&written(a)), Some(&written(b)));
        assert!(same("model", "./model/../model"));
        assert!(!same("model", ".") && !same("absent", "./absent"));

        let settings = |dataset: &str, model: &str, rows: &str, reference: Option<&str>| {
            let options = serde_json::json!({
                "model": { "model_name_or_path": model },
                "data": { "dataset_name": dataset },
                "dpo": { "ref_model": reference },
            });
            flattened(&serde_json::json!({
                "options": options, "training_rows": rows, "frozen": { "reference": "1f" }
            }))
        };
        let (data, model) = ("options.data.dataset_name", "options.model.model_name_or_path");
        let old = settings("a.jsonl", "m", "77", None);
        assert!(has_same_content(data, &old, &settings("b.jsonl", "m", "77", None)));
        assert!(!has_same_content(data, &old, &settings("b.jsonl", "m", "78", None)));
        assert!(has_same_content(model, &old, &settings("a.jsonl", "n", "77", None)));
        let named = |model: &str| settings("a.jsonl", model, "77", Some("r"));
        assert!(
            !has_same_content(model, &named("m"), &named("n")),
            "the reference's hash says nothing of it"
        );
        assert!(!has_same_content("options.train.seed", &old, &old));
    }

    #[cfg(feature = "clap")]
    #[test]
    fn every_free_training_option_exists() {
        use clap::Args as _;
        let command = crate::TrainOptions::augment_args(clap::Command::new("options"));
        let exists = |option: &str| command.get_arguments().any(|argument| argument.get_id() == option);
        let missing: Vec<_> =
            FREE_OPTIONS.iter().filter(|(group, option)| *group == "train" && !exists(option)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
