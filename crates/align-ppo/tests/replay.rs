//! TRL's own updates on groups, step by step: from the exact tensors that its loss consumed.
//!
//! The runs are those of `fixtures/golden/runs`, or of the folder that the environment variable `ALIGN_GOLDEN_RUNS`
//! names, in the same layout: `model/`, and for each run `log.json`, `batches.json` and `final.safetensors`.
//! `--nocapture` shows what was replayed and how close it came.
#![cfg(feature = "clap")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use align_kernels::Params;
use align_models::generation::GenerationOptions;
use align_models::{CausalLm, ModelDir};
use align_ppo::{
    GroupAlgorithm, GroupBatch, GroupCompletion, GroupConfig, GroupLossType, GroupObjective, GroupOptions,
    GroupSetting, Importance, KlPenalty,
};
use align_train::{Curve, OptimizerConfig, Schedule, Update, Updater};
use candle_core::{DType, Device};
use clap::ValueEnum as _;
use serde_json::{Map, Value};

const RUNS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/runs");

/// How far a loss, and a weight after the last update, may be from TRL's.
const LOSS: f64 = 1e-5;
const WEIGHT: f64 = 1e-5;

/// Runs whose weights end elsewhere in any precision: where a gradient is almost nothing Adam divides it by its own
/// size, and rounding decides which way the weight moves, by up to the learning rate.
const WITHOUT_WEIGHTS: [&str; 1] = ["grpo_replay"];

/// The runs that the project keeps: each is replayed, and none is lost without a word.
const SHIPPED: [&str; 13] = [
    "grpo",
    "grpo_2iter",
    "grpo_bias_corrected_kl",
    "grpo_bnpo",
    "grpo_cispo",
    "grpo_dr_grpo",
    "grpo_gspo",
    "grpo_luspo",
    "grpo_sapo",
    "grpo_two_sided",
    "grpo_vespo",
    "rloo",
    "rloo_2iter",
];

/// A run of TRL's: its options, its log, and what each update consumed.
struct Run {
    name: String,
    dir: PathBuf,
    algorithm: GroupAlgorithm,
    args: Map<String, Value>,
    log: Vec<Value>,
    steps: Vec<Step>,
}

/// The tensors of one update, without their padding.
struct Step {
    completions: Vec<Recorded>,
    loss: f64,
}

struct Recorded {
    prompt: Vec<u32>,
    tokens: Vec<u32>,
    advantage: f64,
    old_log_probs: Option<Vec<f32>>,
    reference_log_probs: Option<Vec<f32>>,
}

fn runs(folder: &Path) -> Vec<Run> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let dir = entry.unwrap().path();
        let (Ok(log), Ok(batches)) =
            (fs::read_to_string(dir.join("log.json")), fs::read_to_string(dir.join("batches.json")))
        else {
            continue;
        };
        let log: Value = serde_json::from_str(&log).unwrap();
        let algorithm = match log["trainer"].as_str().unwrap() {
            "GRPOTrainer" => GroupAlgorithm::Grpo,
            "RLOOTrainer" => GroupAlgorithm::Rloo,
            _ => continue,
        };
        let batches: Vec<Value> = serde_json::from_str(&batches).unwrap();
        let name = dir.file_name().unwrap().to_string_lossy().into_owned();
        let args = log["args"].as_object().unwrap().clone();
        let steps = batches.iter().map(step).collect();
        runs.push(Run { name, dir, algorithm, args, log: log["log"].as_array().unwrap().clone(), steps });
    }
    runs.sort_by(|a, b| a.name.cmp(&b.name));
    runs
}

fn step(batch: &Value) -> Step {
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let row = |name: &str, row: usize| batch.get(name).filter(|it| !it.is_null()).map(|it| numbers(&it[row]));
    let counted = |values: Vec<f64>, mask: &[f64]| -> Vec<f64> {
        values.into_iter().zip(mask).filter(|(_, counts)| **counts != 0.0).map(|(value, _)| value).collect()
    };
    let ids = |values: Vec<f64>| -> Vec<u32> { values.into_iter().map(|id| id as u32).collect() };
    let advantages = numbers(&batch["advantages"]);
    let completions = advantages.iter().enumerate().map(|(i, &advantage)| {
        let mask = row("completion_mask", i).unwrap();
        let log_probs = |name| -> Option<Vec<f32>> {
            row(name, i).map(|it| counted(it, &mask).iter().map(|p| *p as f32).collect())
        };
        let tokens = ids(counted(row("completion_ids", i).unwrap(), &mask));
        // RLOO keeps only the sum, which is all that its loss reads.
        let sum = |values: &Value| {
            let mut spread = vec![0.0; tokens.len()];
            spread[0] = values[i].as_f64().unwrap() as f32;
            spread
        };
        Recorded {
            prompt: ids(counted(row("prompt_ids", i).unwrap(), &row("prompt_mask", i).unwrap())),
            advantage,
            old_log_probs: log_probs("old_per_token_logps").or_else(|| batch.get("old_logps").map(sum)),
            reference_log_probs: log_probs("ref_per_token_logps"),
            tokens,
        }
    });
    Step { completions: completions.collect(), loss: batch["loss"].as_f64().unwrap() }
}

impl Run {
    fn number(&self, name: &str) -> Option<f64> {
        self.args.get(name).and_then(Value::as_f64)
    }

    fn config(&self) -> GroupConfig {
        let word = |name: &str| self.args.get(name).and_then(Value::as_str);
        let options = GroupOptions {
            num_generations: self.number("num_generations").map(|it| it as usize),
            loss_type: word("loss_type").map(|name| GroupLossType::from_str(name, false).unwrap()),
            beta: self.number("beta"),
            epsilon: self.number("epsilon"),
            epsilon_high: self.number("epsilon_high"),
            delta: self.number("delta"),
            importance_sampling_level: word("importance_sampling_level")
                .map(|name| Importance::from_str(name, false).unwrap()),
            off_policy_mask_threshold: self.number("off_policy_mask_threshold"),
            use_bias_correction_kl: self.args.get("use_bias_correction_kl") == Some(&Value::Bool(true)),
            num_iterations: self.number("num_iterations").map(|it| it as usize),
            ..GroupOptions::default()
        };
        let max_new_tokens = self.number("max_completion_length").unwrap() as usize;
        let setting = GroupSetting {
            generation: &GenerationOptions::sampled(max_new_tokens),
            per_device_train_batch_size: self.number("per_device_train_batch_size").unwrap() as usize,
            gradient_accumulation_steps: 1,
            ranks: 1,
        };
        options.check(self.algorithm, &setting).unwrap()
    }

    /// The updates from the tensors that TRL consumed, and the weights they end with.
    fn replay(&self, model: &ModelDir) -> (Vec<Update>, Params) {
        let config = self.config();
        let params = model.load(&Device::Cpu).unwrap().tracked_copy().unwrap();
        let policy = CausalLm::new(model.decoder_config(), &params).unwrap();
        let beta = if let KlPenalty::Loss(beta) = config.penalty { beta } else { 0.0 };
        let mut objective = GroupObjective::new(policy, config.loss, beta, config.temperature);
        let schedule = Schedule {
            curve: Curve::Constant,
            learning_rate: self.number("learning_rate").unwrap(),
            warmup_steps: 0,
            total_steps: self.steps.len(),
        };
        let mut updater =
            Updater::new(&params, OptimizerConfig::default(), schedule, self.number("max_grad_norm"))
                .unwrap();
        let update = |step: &Step| updater.update(&mut objective, &[batch(step)]).unwrap();
        let updates = self.steps.iter().map(update).collect();
        (updates, params)
    }
}

fn batch(step: &Step) -> GroupBatch {
    let completions: Vec<GroupCompletion<'_>> = step
        .completions
        .iter()
        .map(|recorded| GroupCompletion {
            prompt: &recorded.prompt,
            tokens: &recorded.tokens,
            advantage: recorded.advantage,
            old_log_probs: recorded.old_log_probs.as_deref(),
            reference_log_probs: recorded.reference_log_probs.as_deref(),
            counts: true,
        })
        .collect();
    GroupBatch::new(&completions, Vec::new()).unwrap()
}

/// The largest distance of a weight from where TRL's run left it, and the share of weights beyond the tolerance.
fn apart(params: &Params, expected: &Path) -> (f64, f64) {
    let expected = candle_core::safetensors::load(expected, &Device::Cpu).unwrap();
    let (mut worst, mut beyond, mut count) = (0f64, 0usize, 0usize);
    for (name, param) in params.iter() {
        let values = |tensor: &candle_core::Tensor| -> Vec<f32> {
            tensor.detach().to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
        };
        for (found, expected) in values(param.tensor()).into_iter().zip(values(&expected[name])) {
            let distance = f64::from((found - expected).abs());
            worst = worst.max(distance);
            beyond += usize::from(distance > WEIGHT);
            count += 1;
        }
    }
    (worst, beyond as f64 / count as f64)
}

/// The update's metrics against TRL's log, under the same names.
fn check_metrics(name: &str, update: &Update, expected: &Value) {
    let expected = expected.as_object().unwrap();
    let mut compared = 0;
    for (metric, found) in update.metrics.values() {
        let Some(value) = expected.get(metric).and_then(Value::as_f64) else { continue };
        // The divergence is a small difference of log-probs that moves with every weight.
        let allowed = 1e-3 * value.abs() + 1e-5;
        assert!(
            (found - value).abs() <= allowed,
            "{name}: {metric} at step {}: {found} for {value}",
            update.step
        );
        compared += 1;
    }
    let norm = expected["grad_norm"].as_f64().unwrap();
    assert!(
        (update.grad_norm - norm).abs() <= 1e-3 * norm + 1e-6,
        "{name}: grad_norm {} for {norm}",
        update.grad_norm
    );
    assert!(compared >= 1, "{name}: no metric of step {} is TRL's", update.step);
}

#[test]
fn trls_updates_come_out_the_same() {
    let named = std::env::var_os("ALIGN_GOLDEN_RUNS").map(PathBuf::from);
    let folder = named.clone().unwrap_or_else(|| PathBuf::from(RUNS));
    let model = ModelDir::open(&folder.join("model")).unwrap();
    let runs = runs(&folder);
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    match named {
        None => assert_eq!(names, SHIPPED),
        Some(_) => assert!(
            !names.is_empty(),
            "{} holds no batches of GRPOTrainer or RLOOTrainer to replay",
            folder.display()
        ),
    }
    for run in runs {
        let name = &run.name;
        let (updates, params) = run.replay(&model);
        assert_eq!(
            [updates.len(), run.log.len()],
            [run.steps.len(); 2],
            "{name}: an update and a log entry a step"
        );
        let mut worst = 0f64;
        for (update, (step, expected)) in updates.iter().zip(run.steps.iter().zip(&run.log)) {
            let distance = (update.loss - step.loss).abs();
            assert!(
                distance <= LOSS,
                "{name}: loss of step {}: {} for {}",
                update.step,
                update.loss,
                step.loss
            );
            worst = worst.max(distance);
            check_metrics(name, update, expected);
        }
        println!("{name}: {} updates, losses at most {worst:.1e} apart", updates.len());
        let weights = run.dir.join("final.safetensors");
        if weights.exists() {
            let (worst, beyond) = apart(&params, &weights);
            println!(
                "{name}: final weights at most {worst:.1e} apart, {:.2} % beyond {WEIGHT:.0e}",
                100.0 * beyond
            );
            assert!(
                worst <= WEIGHT || WITHOUT_WEIGHTS.contains(&name.as_str()),
                "{name}: weights {worst:.1e} apart"
            );
        }
    }
}
