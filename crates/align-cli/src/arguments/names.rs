//! Names of options: today's, older ones, and those of other programs for the same.
//!
//! Names and their history are TRL's and `transformers.TrainingArguments`'; LLaMA-Factory's and Axolotl's names for
//! the same things are understood too. Another name applies only where what it means is an option of the binary at hand.

use clap::Arg;

use super::optim;
use super::schema::Schema;

/// A name that was found.
#[derive(Debug)]
pub(super) struct Name<'schema> {
    pub(super) arg: &'schema Arg,
    /// Said if another name was used.
    pub(super) notice: Option<String>,
    values: &'static [(&'static str, &'static str)],
}

impl Name<'_> {
    /// What a value is called here that is written beside the name.
    pub(super) fn value<'a>(&self, written: &'a str) -> &'a str {
        self.values.iter().find(|(theirs, _)| *theirs == written).map_or(written, |(_, ours)| ours)
    }
}

/// A name that another program has for an option of here, or that had it before.
struct Alias {
    name: &'static str,
    /// Whose name it is, as a notice says it.
    whose: &'static str,
    today: &'static str,
    /// Values with what they are called here; none if they are called the same.
    values: &'static [(&'static str, &'static str)],
}

const fn alias(whose: &'static str, name: &'static str, today: &'static str) -> Alias {
    Alias { name, whose, today, values: &[] }
}

const OLDER: &str = "an older name";
const TRL: &str = "TRL's name";
const FACTORY: &str = "LLaMA-Factory's name";
const AXOLOTL: &str = "Axolotl's name";

const ALIASES: &[Alias] = &[
    alias(OLDER, "evaluation-strategy", "eval-strategy"),
    alias(OLDER, "torch-dtype", "dtype"),
    alias(OLDER, "per-gpu-train-batch-size", "per-device-train-batch-size"),
    alias(OLDER, "per-gpu-eval-batch-size", "per-device-eval-batch-size"),
    alias(OLDER, "max-seq-length", "max-length"),
    alias(OLDER, "max-target-length", "max-completion-length"),
    alias(OLDER, "init-kl-coef", "kl-coef"),
    alias(OLDER, "ppo-epochs", "num-ppo-epochs"),
    alias(TRL, "sft-model-path", "model-name-or-path"),
    alias(TRL, "response-length", "max-completion-length"),
    alias(FACTORY, "cutoff-len", "max-length"),
    alias(FACTORY, "pref-beta", "beta"),
    alias(FACTORY, "pref-loss", "loss-type"),
    alias(FACTORY, "dpo-label-smoothing", "label-smoothing"),
    alias("the name in the DPO authors' code", "loss.beta", "beta"),
    alias(AXOLOTL, "base-model", "model-name-or-path"),
    alias(AXOLOTL, "sequence-len", "max-length"),
    alias(AXOLOTL, "micro-batch-size", "per-device-train-batch-size"),
    alias(AXOLOTL, "eval-batch-size", "per-device-eval-batch-size"),
    alias(AXOLOTL, "num-epochs", "num-train-epochs"),
    alias(AXOLOTL, "optimizer", "optim"),
    alias(AXOLOTL, "lr-scheduler", "lr-scheduler-type"),
    alias(AXOLOTL, "rl-beta", "beta"),
    alias(AXOLOTL, "sample-packing", "packing"),
    Alias { values: &[("lora", "true"), ("qlora", "true")], ..alias(AXOLOTL, "adapter", "use-peft") },
    Alias { values: &[("dpo", "sigmoid")], ..alias(AXOLOTL, "rl", "loss-type") },
];

/// Ids of options that say the same in other units, or in another way: a run goes by one of them.
const RIVALS: &[&[&str]] = &[
    &["max_steps", "num_train_epochs", "total_episodes"],
    &["warmup_steps", "warmup_ratio"],
    &["dataset_name", "datasets", "dataset_mixer"],
];

/// The options that say the same as this one in other units.
pub(super) fn rivals(id: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    let groups = RIVALS.iter().filter(move |group| group.contains(&id));
    groups.flat_map(|group| group.iter().copied()).filter(move |rival| *rival != id)
}

/// Trackers of `report_to` that need a service.
const TRACKERS: &[&str] =
    &["wandb", "mlflow", "comet_ml", "trackio", "swanlab", "clearml", "neptune", "dvclive", "codecarbon"];

/// How names are written where this one was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `--learning-rate`, on the command line.
    Flag,
    /// `learning_rate`, in a file.
    Key,
}

impl Spelling {
    /// The name as it is written there.
    pub(super) fn of(self, name: &str) -> String {
        match self {
            Self::Flag => format!("--{}", name.replace('_', "-")),
            Self::Key => name.replace('-', "_"),
        }
    }
}

/// Finds the option that `name` means.
///
/// # Errors
/// One sentence: it is unknown (with the nearest name).
pub(super) fn resolve<'schema>(
    schema: &'schema Schema,
    name: &str,
    spelling: Spelling,
) -> Result<Name<'schema>, String> {
    if let Some(arg) = schema.option(name) {
        return Ok(Name { arg, notice: None, values: &[] });
    }
    let dashed = name.replace('_', "-");
    if let Some(alias) = ALIASES.iter().find(|alias| alias.name == dashed)
        && let Some(arg) = schema.option(alias.today)
    {
        let (name, today) = (spelling.of(name), spelling.of(alias.today));
        let notice = format!("`{name}` is {}; taken as `{today}`", alias.whose);
        return Ok(Name { arg, notice: Some(notice), values: alias.values });
    }
    let hint = match nearest(schema, &dashed) {
        Some(near) => format!("; did you mean `{}`?", spelling.of(near)),
        None => "; `--help` lists all options".into(),
    };
    let noun = if spelling == Spelling::Key { "key" } else { "option" };
    Err(format!("unknown {noun} `{}`{hint}", spelling.of(name)))
}

/// Refuses values that this project knows but cannot honour.
pub(super) fn check_value(long: &str, value: &str) -> Result<(), String> {
    match long {
        "report-to" => match value.split(',').find(|part| TRACKERS.contains(&part.trim())) {
            Some(tracker) => Err(format!(
                "`{tracker}` needs a service and is not supported; `tensorboard` and metrics.jsonl are written as files"
            )),
            None => Ok(()),
        },
        "optim" => optim::check(value),
        _ => Ok(()),
    }
}

/// What a key says whose value is nothing: the option's word for that, with a notice, or no word where it says nothing.
///
/// # Errors
/// The option has a default, which is something.
pub(super) fn nothing(arg: &Arg, key: &str) -> Result<Option<(String, String)>, String> {
    let default = arg.get_default_values().iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>();
    match arg.get_long().unwrap_or_default() {
        "max-length" | "max-grad-norm" => {
            Ok(Some(("0".to_owned(), format!("`{key}` is null, which is taken as 0: no limit"))))
        }
        // Weights have one precision, whatever their files have.
        "dtype" => Ok(None),
        _ if default.iter().all(|word| word == "false") => Ok(None),
        _ => {
            let default = default.join(",");
            Err(format!("`{key}` has no value; give one, or remove the line for the default, {default}"))
        }
    }
}

/// What a word means as the value of a switch, if it can be one.
pub(super) fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// The option whose name is most like `name`, if any is alike.
fn nearest<'schema>(schema: &'schema Schema, name: &str) -> Option<&'schema str> {
    super::nearest(name, schema.options().filter(|arg| !arg.is_hide_set()).filter_map(Arg::get_long))
}
