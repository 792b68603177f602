//! TRL's own runs, step by step: the same options under the same names give the same log.
//!
//! The runs are those of `fixtures/golden/runs`, or of the folder that the environment variable
//! `ALIGN_TRL_RUNS` names, in the same layout. `--nocapture` shows what was replayed and how close it came.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::stage;
use crate::support::{Ended, Place, RUNS, copy_dir, read_weights, training, worst_difference};

/// Arguments that say nothing here: where TRL's trainer ran and wrote, and notes of whoever recorded the run.
const SAYS_NOTHING: [&str; 10] = [
    "report_to",
    "save_strategy",
    "use_cpu",
    "disable_tqdm",
    "bf16",
    "gradient_checkpointing",
    "optim",
    "dataloader_pin_memory",
    "dataset",
    "margin",
];

/// A run's final weights differ where a gradient is almost nothing: Adam divides it by its own size, so that
/// rounding decides which way the parameter moves, by up to the learning rate. Few of all, hence the norm.
const WEIGHTS: f64 = 1e-4;

/// How far a metric may be from TRL's, in units of TRL's value, and beyond that.
fn allowed(metric: &str, expected: f64) -> f64 {
    let (relative, absolute) = match metric {
        // A reward is one number of order 1 in f32.
        "margin" | "min_reward" | "mean_reward" | "max_reward" => (1e-4, 1e-5),
        "loss" | "nll_loss" | "entropy" | "logps/chosen" | "logps/rejected" => (1e-4, 0.0),
        "grad_norm" => (1e-3, 0.0),
        // A reward is β times the small difference of two log-probs of some hundred nats in f32; so are these.
        "rewards/chosen" | "rewards/rejected" | "rewards/margins" => (1e-3, 1e-4),
        "kl" | "log_odds_chosen" | "log_odds_ratio" => (1e-3, 1e-4),
        // Shares of a count, divided in f32.
        "mean_token_accuracy" | "rewards/accuracies" | "accuracy" => (1e-6, 0.0),
        // What is computed without the model: num_tokens, learning_rate, epoch.
        _ => (1e-9, 0.0),
    };
    relative * expected.abs() + absolute
}

struct Log {
    name: String,
    trainer: String,
    dir: PathBuf,
    args: Map<String, Value>,
    entries: Vec<Map<String, Value>>,
}

/// The folder's runs by this stage's trainers.
fn logs(folder: &Path) -> Vec<Log> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let dir = entry.unwrap().path();
        let Ok(text) = fs::read_to_string(dir.join("log.json")) else { continue };
        let log: Value = serde_json::from_str(&text).unwrap();
        let trainer = log["trainer"].as_str().unwrap().to_owned();
        if stage::TRAINERS.contains(&trainer.as_str()) {
            let name = dir.file_name().unwrap().to_string_lossy().into_owned();
            let args = log["args"].as_object().unwrap().clone();
            let entries = log["log"].as_array().unwrap().iter();
            let entries = entries.map(|entry| entry.as_object().unwrap().clone()).collect();
            logs.push(Log { name, trainer, dir, args, entries });
        }
    }
    logs.sort_by(|a, b| a.name.cmp(&b.name));
    logs
}

impl Log {
    /// The program's options, for so many ranks, each of which has its part of TRL's batch.
    fn options(&self, ranks: usize) -> String {
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let words = |value: &Value| match value {
            Value::Array(values) => values.iter().map(word).collect::<Vec<_>>().join(","),
            value => word(value),
        };
        let given = self.args.iter().filter(|(name, _)| !SAYS_NOTHING.contains(&name.as_str()));
        let mut options = format!("--save-strategy no --report-to none {}", stage::options_of(&self.trainer));
        if !self.args.contains_key("loss_type") {
            options += stage::loss_of(&self.trainer);
        }
        for (name, value) in given {
            let value = match value.as_u64().filter(|_| name == "per_device_train_batch_size") {
                Some(rows) => words(&rows.div_ceil(ranks as u64).into()),
                None => words(value),
            };
            options += &format!(" --{name} {}", stage::value_of(&self.trainer, name, &value));
            if name == "precompute_ref_log_probs" {
                options += " --ref-log-probs-cache cache";
            }
        }
        options
    }

    /// Where it is run, and with which words.
    fn place(&self, folder: &Path, ranks: usize) -> (Place, String) {
        let place = Place::from(folder, stage::data_of(&self.trainer, &self.name));
        if self.trainer == "RewardTrainer" {
            place.start_from(&folder.join("model-reward"));
        }
        let words = training("out", &self.options(ranks));
        let adapter = self.dir.join("initial_adapter");
        if !adapter.exists() {
            return (place, words);
        }
        copy_dir(&adapter, &place.path("adapter"));
        let settings = fs::read_to_string(place.path("adapter/adapter_config.json")).unwrap();
        place.write("adapter/adapter_config.json", settings.replace("../../model", "../model"));
        (place, words.replace("--model model", "--model adapter"))
    }

    /// Metrics and final weights.
    #[expect(clippy::print_stdout, reason = "`--nocapture` shows how close it came")]
    fn check(&self, place: &Place, ended: &Ended, ranks: usize) {
        let name = &self.name;
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        let run = place.run("out");
        println!("{name}: {} steps, at worst {}", self.entries.len(), self.compare(&run.log(), ranks));
        let weights = self.dir.join("final.safetensors");
        if weights.exists() {
            let expected = read_weights(&weights).into_iter();
            // In memory, PEFT's adapters have names.
            let expected = expected.map(|(name, values)| (name.replace(".default", ""), values)).collect();
            let (apart, parameter) = worst_difference(&run.weights(), &expected);
            println!("{name}: final weights {apart:.1e} apart, {parameter}");
            assert!(apart < WEIGHTS, "{name}: {parameter} ends {apart:.1e} apart");
        }
    }

    /// Whether a row's two answers are the same tokens, once they are cut to length.
    fn has_ties(&self) -> bool {
        let max_length = self.args["max_length"].as_u64().unwrap() as usize;
        let rows = fs::read_to_string(self.dir.join("tokenized.jsonl")).unwrap();
        rows.lines().any(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let ids = |name: &str| row[name].as_array().cloned();
            let cut = |name: &str| Some(ids("prompt_ids")?.into_iter().chain(ids(name)?).take(max_length));
            cut("chosen_ids").zip(cut("rejected_ids")).is_some_and(|(chosen, rejected)| chosen.eq(rejected))
        })
    }

    /// Every metric of every entry; what came nearest to its tolerance, as a sentence.
    ///
    /// TRL counts a tie as a miss and this project as half a hit, so accuracies are compared where there is
    /// none: not at the first step, where policy and reference are the same, and not on data with ties.
    fn compare(&self, ours: &[Map<String, Value>], ranks: usize) -> String {
        let ties = self.has_ties();
        let ours: Vec<_> = ours.iter().filter(|entry| entry.contains_key("loss")).collect();
        assert_eq!(ours.len(), self.entries.len(), "{}: number of log entries", self.name);
        let mut worst = (-1.0, String::new());
        for (found, expected) in ours.into_iter().zip(&self.entries) {
            for (metric, expected_value) in expected {
                let step = &expected["step"];
                let tied = metric == "rewards/accuracies" && (ties || *step == 1);
                // TRL logs a 0 where the loss has no such part.
                let no_part = ["kl", "nll_loss"].contains(&metric.as_str()) && *expected_value == 0.0;
                let not_estimated = no_part && !found.contains_key(metric);
                // Figures of a micro-batch as a whole, of which several ranks have more.
                let of_whole = ["epoch", "min_reward", "max_reward"].contains(&metric.as_str())
                    || (metric == "rewards/margins" && self.trainer == "KTOTrainer");
                if tied
                    || not_estimated
                    || (of_whole && ranks > 1)
                    || stage::NOT_LOGGED.contains(&metric.as_str())
                {
                    continue;
                }
                let expected_value = expected_value.as_f64().unwrap();
                let value = found.get(metric).and_then(Value::as_f64);
                let value = value.unwrap_or_else(|| panic!("{}: step {step} has no {metric}", self.name));
                let apart = (value - expected_value).abs();
                let allowed = allowed(metric, expected_value);
                let place = format!("{metric} at step {step}: {value} for {expected_value}");
                assert!(apart <= allowed, "{}: {place}, {apart:.1e} apart", self.name);
                if allowed > 0.0 && apart / allowed > worst.0 {
                    worst = (apart / allowed, place);
                }
            }
        }
        format!("{:.1} % of the tolerance, {}", 100.0 * worst.0, worst.1)
    }
}

#[test]
fn trls_runs_come_out_the_same() {
    let foreign = std::env::var_os("ALIGN_TRL_RUNS").map(PathBuf::from);
    let folder = foreign.clone().unwrap_or_else(|| PathBuf::from(RUNS));
    let mut replayed = Vec::new();
    for log in logs(&folder) {
        let name = &log.name;
        let (place, words) = log.place(&folder, 1);
        let ended = place.ended(&words);
        if foreign.is_some() && ended.code == Some(2) {
            println!("{name}: left out, {}", ended.stderr.trim());
            continue;
        }
        log.check(&place, &ended, 1);
        replayed.push(name.clone());
    }
    if foreign.is_none() {
        assert_eq!(replayed, stage::GOLDEN, "the runs of {}", folder.display());
    }
    assert!(
        !replayed.is_empty(),
        "{} holds no run of {} to replay",
        folder.display(),
        stage::TRAINERS.join(", ")
    );
}

/// Two ranks have half of TRL's batch each. What compares the rows of a batch with each other would have half of the
/// comparisons.
#[cfg(feature = "mpi")]
#[test]
fn trls_runs_come_out_the_same_on_two_ranks() {
    let compares_rows = |name: &str| ["dpo_aot", "dpo_aot_unpaired", "kto"].contains(&name);
    let halves =
        |log: &Log| log.args["per_device_train_batch_size"].as_u64().is_some_and(|rows| rows % 2 == 0);
    let folder = Path::new(RUNS);
    let logs: Vec<_> =
        logs(folder).into_iter().filter(|log| halves(log) && !compares_rows(&log.name)).collect();
    assert!(logs.len() + 4 >= stage::GOLDEN.len(), "{} of {}", logs.len(), stage::GOLDEN.len());
    for log in logs {
        let (place, words) = log.place(folder, 2);
        log.check(&place, &place.ended_on_ranks(2, &words), 2);
    }
}
