//! Ranks, as threads: every stage makes the model that one rank makes with as many times the accumulation.

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use align::candle::safetensors::load;
use align::candle::{DType, Device};
use align::dpo::LossType;
use align::engine::{Ranks, threads};
use align::ppo::MethodName;
use align::{Host, Result, TrainOptions};

use super::ROOT;

/// Micro-batches of an update, on all ranks together.
const MICRO_BATCHES: usize = 4;

/// Rows that are one update and a last window of two micro-batches, so that two of four ranks have none in it.
const ROWS: usize = 12;

/// The first rows of a file, as a file.
fn rows(of: &str, dir: &Path) -> String {
    let text = std::fs::read_to_string(format!("{ROOT}/fixtures/data/{of}")).unwrap();
    let path = dir.join("rows.jsonl");
    let lines: String = text.lines().take(ROWS).map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, lines).unwrap();
    path.display().to_string()
}

fn options(train: &mut TrainOptions, ranks: usize) {
    train.learning_rate = Some(1e-4);
    train.per_device_train_batch_size = 2;
    train.gradient_accumulation_steps = MICRO_BATCHES / ranks;
    train.max_steps = 3;
    train.save_strategy = align::engine::Strategy::No;
}

/// The weights that so many ranks come to, each of which runs `job` into the directory.
fn trained(ranks: usize, job: &(dyn Fn(&Path, &Host<'_>, usize) -> Result<()> + Sync)) -> Vec<f64> {
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("run");
    let one = |of: Ranks| {
        let host = Host { ranks: of.clone(), ..Host::default() };
        job(&output, &host, ranks).inspect_err(|error| of.fails(error))?;
        Ok::<_, align::Error>(of.end()?)
    };
    thread::scope(|scope| {
        let handles: Vec<_> = threads(ranks).into_iter().map(|of| scope.spawn(|| one(of))).collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap().unwrap());
    });
    let report = std::fs::read_to_string(output.join("report.json")).unwrap();
    assert!(report.contains(&format!("\"ranks\": {ranks}")), "{report}");
    let mut weights: Vec<_> =
        load(output.join("model.safetensors"), &Device::Cpu).unwrap().into_iter().collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    let values = |tensor: &align::candle::Tensor| {
        tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()
    };
    weights.iter().flat_map(|(_, tensor)| values(tensor)).collect()
}

fn distance(one: &[f64], other: &[f64]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut one.iter().zip(other).map(|(a, b)| a - b)) / norm(&mut other.iter().copied())
}

fn is_the_same_on(counts: &[usize], job: &(dyn Fn(&Path, &Host<'_>, usize) -> Result<()> + Sync)) {
    let alone = trained(1, job);
    for &ranks in counts {
        let several = trained(ranks, job);
        let distance = distance(&several, &alone);
        assert!(distance < 1e-6, "{ranks} ranks: {distance:e}");
        assert_eq!(trained(ranks, job), several, "{ranks} ranks, twice");
    }
}

/// A model with rows of its own in a directory that outlives the job.
fn with_rows(of: &str, job: impl Fn(&str, &Path, &Host<'_>, usize) -> Result<()> + Sync, counts: &[usize]) {
    let dir = tempfile::tempdir().unwrap();
    let rows = rows(of, dir.path());
    is_the_same_on(counts, &|output, host, ranks| job(&rows, output, host, ranks));
}

fn model() -> String {
    format!("{ROOT}/fixtures/models/tiny-chat")
}

fn preference(loss: LossType, counts: &[usize]) {
    let job = |rows: &str, output: &Path, host: &Host<'_>, ranks: usize| {
        let mut job = align::dpo::Job::new(model(), rows, output);
        job.dpo.loss_type = vec![loss];
        options(&mut job.train, ranks);
        align::dpo::train_with(&job, host, align::dpo::Parts::default()).map(drop)
    };
    with_rows("preference/train.jsonl", job, counts);
}

#[test]
fn supervised() {
    let job = |rows: &str, output: &Path, host: &Host<'_>, ranks: usize| {
        let mut job = align::sft::Job::new(model(), rows, output);
        job.sft.neftune_noise_alpha = Some(5.0);
        options(&mut job.train, ranks);
        align::sft::train_with(&job, host, align::sft::Parts::default()).map(drop)
    };
    with_rows("sft.jsonl", job, &[2, 4]);
}

#[test]
fn pairs() {
    preference(LossType::Sigmoid, &[2, 4]);
    preference(LossType::Aot, &[4]);
}

#[test]
fn single_answers() {
    preference(LossType::Kto, &[4]);
    preference(LossType::Bco, &[2, 4]);
}

#[test]
fn rewards() {
    let job = |rows: &str, output: &Path, host: &Host<'_>, ranks: usize| {
        let mut job = align::reward::Job::new(model(), rows, output);
        options(&mut job.train, ranks);
        align::reward::train_with(&job, host, align::reward::Parts::default()).map(drop)
    };
    with_rows("preference/train.jsonl", job, &[4]);
}

/// Phases of sixteen answers to sums.
fn on_policy(method: MethodName, counts: &[usize], change: impl Fn(&mut align::ppo::Job, usize) + Sync) {
    let texts = Mutex::new(Vec::new());
    let job = |rows: &str, output: &Path, host: &Host<'_>, ranks: usize| {
        let mut job = align::ppo::Job::new(model(), rows, output);
        job.rollout.method = method;
        job.generation.max_new_tokens = 12;
        job.reward.reward_funcs = vec!["length:1..30".parse().unwrap()];
        options(&mut job.train, ranks);
        job.train.per_device_train_batch_size = 4;
        change(&mut job, ranks);
        align::ppo::train_with(&job, host, align::ppo::Parts::default())?;
        if host.ranks.leads() {
            texts.lock().unwrap().push(std::fs::read_to_string(output.join("samples.jsonl")).unwrap());
        }
        Ok(())
    };
    with_rows("sums/train.jsonl", job, counts);
    let texts = texts.into_inner().unwrap();
    assert!(texts.iter().all(|it| *it == texts[0]), "{method:?}: ranks say something else");
}

#[test]
fn own_answers() {
    on_policy(MethodName::Ppo, &[4], |job, _| {
        job.reward.reward_model_path = Some(format!("{ROOT}/fixtures/models/tiny-reward"));
        job.ppo.num_ppo_epochs = 2;
        job.ppo.early_stop_kl = Some(1e-9);
    });
    on_policy(MethodName::Dapo, &[4], |job, _| {
        job.group.num_generations = Some(4);
        job.group.mask_truncated_completions = Some(false);
    });
    on_policy(MethodName::Grpo, &[2], |job, ranks| {
        // Fewer prompts than ranks.
        job.group.num_generations = Some(32);
        job.group.steps_per_generation = Some(8 / ranks);
        job.group.beta = Some(0.04);
    });
    on_policy(MethodName::ReinforcePp, &[4], |_, _| {});
    on_policy(MethodName::OnlineDpo, &[2], |job, _| job.train.per_device_train_batch_size = 2);
}
