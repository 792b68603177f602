//! Names of options: today's, older ones, and those that exist elsewhere but not here.
//!
//! Names and their history are TRL's and `transformers.TrainingArguments`'; LLaMA-Factory's names for
//! the same things are understood too. An older name applies only where its successor is an option of
//! the binary at hand. An option that could have no effect is refused, with the reason.

use clap::Arg;

use super::optim;
use super::schema::Schema;

/// A name that was found.
#[derive(Debug)]
pub(super) struct Name<'schema> {
    pub(super) arg: &'schema Arg,
    /// Said once if an older name was used.
    pub(super) notice: Option<String>,
}

/// Older name → name of today.
const OLDER: &[(&str, &str)] = &[
    // transformers and TRL
    ("evaluation-strategy", "eval-strategy"),
    ("torch-dtype", "dtype"),
    ("per-gpu-train-batch-size", "per-device-train-batch-size"),
    ("per-gpu-eval-batch-size", "per-device-eval-batch-size"),
    ("max-seq-length", "max-length"),
    ("max-target-length", "max-completion-length"),
    ("init-kl-coef", "kl-coef"),
    ("ppo-epochs", "num-ppo-epochs"),
    // LLaMA-Factory
    ("cutoff-len", "max-length"),
    ("pref-beta", "beta"),
    ("pref-loss", "loss-type"),
    ("dpo-label-smoothing", "label-smoothing"),
    // the DPO authors' code
    ("loss.beta", "beta"),
];

const PRECISION: &str = "weights are always float32, and products can be in bfloat16 (`dtype`)";
const OPTIM: &str = "the optimizer is named by `optim` (here: `adafactor`)";
const LAYOUT: &str = "batches are packed without padding";
const MEMORY: &str =
    "`gradient_checkpointing` has no variants; to save more memory lower `per_device_train_batch_size`";
const LOADING: &str = "records are read in this process, ahead of training";
const LIKELIHOOD: &str = "the chosen answer's likelihood is a loss of its own: `loss_type` sigmoid,sft with `loss_weights` 1,ALPHA";
const MATCHING: &str = "prompts are not embedded, so their distributions cannot be matched";
const HUB: &str = "nothing is uploaded; the output directory can be pushed with `hf upload`";
const DISTRIBUTED: &str = "training runs in one process";

/// Options of TRL and transformers that could have no effect here → why.
const INEFFECTIVE: &[(&str, &str)] = &[
    ("fp16", PRECISION),
    ("tf32", PRECISION),
    ("bf16-full-eval", "evaluation is computed in the precision of training, which `dtype` says"),
    ("fp16-full-eval", PRECISION),
    ("use-vllm", "completions are sampled in this process"),
    ("adafactor", OPTIM),
    ("gradient-checkpointing-kwargs", MEMORY),
    ("activation-offloading", MEMORY),
    ("use-cpu", "the device is named by `device` (here: `cpu`)"),
    ("no-cuda", "the device is named by `device` (here: `cpu`)"),
    ("use-mps-device", "the device is named by `device` (here: `metal`)"),
    ("attn-implementation", "there is one attention, chosen for the device"),
    ("use-liger-kernel", "there is one set of kernels, chosen for the device"),
    ("torch-compile", "there is no compiler; the kernels are ahead-of-time Rust"),
    ("trust-remote-code", "no code of a model repository is ever run"),
    ("packing", "each row is a sequence of its own, and batches have no padding"),
    ("padding-free", LAYOUT),
    ("pad-token", LAYOUT),
    ("pad-to-multiple-of", LAYOUT),
    ("padding-value", LAYOUT),
    ("label-pad-token-id", LAYOUT),
    ("group-by-length", LAYOUT),
    ("dataloader-num-workers", LOADING),
    ("dataloader-pin-memory", LOADING),
    ("dataloader-prefetch-factor", LOADING),
    ("dataset-num-proc", LOADING),
    ("dataset-streaming", LOADING),
    ("remove-unused-columns", "columns that are not needed are never read"),
    ("data-seed", "`seed` decides the order of the data too"),
    ("ignore-data-skip", "a resumed run always goes on at the row where it stopped"),
    ("save-safetensors", "models are always written as safetensors"),
    ("full-determinism", "every run on the CPU is deterministic"),
    ("rpo-alpha", LIKELIHOOD),
    ("pref-ftx", LIKELIHOOD),
    ("prompt-sample-size", MATCHING),
    ("min-density-ratio", MATCHING),
    ("max-density-ratio", MATCHING),
    ("disable-dropout", "the models have no dropout"),
    ("generate-during-eval", "the `generate` program shows what a checkpoint writes"),
    ("push-to-hub", HUB),
    ("hub-model-id", HUB),
    ("hub-token", HUB),
    ("deepspeed", DISTRIBUTED),
    ("fsdp", DISTRIBUTED),
    ("ddp-backend", DISTRIBUTED),
    ("local-rank", DISTRIBUTED),
];

/// Ids of options that say the same in other units: a run goes by one of them.
const RIVALS: &[&[&str]] =
    &[&["max_steps", "num_train_epochs", "total_episodes"], &["warmup_steps", "warmup_ratio"]];

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
    fn of(self, name: &str) -> String {
        match self {
            Self::Flag => format!("--{}", name.replace('_', "-")),
            Self::Key => name.replace('-', "_"),
        }
    }
}

/// Finds the option that `name` means.
///
/// # Errors
/// One sentence: the option has no effect here, or is unknown (with the nearest name).
pub(super) fn resolve<'schema>(
    schema: &'schema Schema,
    name: &str,
    spelling: Spelling,
) -> Result<Name<'schema>, String> {
    if let Some(arg) = schema.option(name) {
        return Ok(Name { arg, notice: None });
    }
    let dashed = name.replace('_', "-");
    if let Some((_, today)) = OLDER.iter().find(|(older, _)| *older == dashed)
        && let Some(arg) = schema.option(today)
    {
        let notice = format!("`{}` is an older name; taken as `{}`", spelling.of(name), spelling.of(today));
        return Ok(Name { arg, notice: Some(notice) });
    }
    // Python's parsers write a switch that is off with `no_` before it.
    let without_no = dashed.strip_prefix("no-").unwrap_or(&dashed);
    if let Some(reason) = ineffective(&dashed).or_else(|| ineffective(without_no)) {
        return Err(format!("`{}` has no effect here: {reason}; remove it", spelling.of(name)));
    }
    let hint = match nearest(schema, &dashed) {
        Some(near) => format!("; did you mean `{}`?", spelling.of(near)),
        None => "; `--help` lists all options".into(),
    };
    let noun = if spelling == Spelling::Key { "key" } else { "option" };
    Err(format!("unknown {noun} `{}`{hint}", spelling.of(name)))
}

/// Why an option of TRL or transformers has no effect here, if it is one that could have none.
pub(super) fn ineffective(dashed: &str) -> Option<&'static str> {
    INEFFECTIVE.iter().find(|(name, _)| *name == dashed).map(|(_, reason)| *reason)
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
