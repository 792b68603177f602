//! Runs that go wrong, and what the supervisor makes of them: on the shipped model and its prompts.

use std::collections::BTreeMap;
use std::fs;

use align_world::{Message, judge};
use serde_json::Value;

use crate::support::Place;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");

/// The shipped model, which answers half of its prompts badly, in large steps.
fn run(data: &str, options: &str) -> String {
    format!(
        "--model {FIXTURES}/models/tiny-chat --dataset {FIXTURES}/data/{data} --output-dir out --method grpo \
         --logging-steps 1 --report-to none --save-strategy no --lr-scheduler-type constant --num-eval-prompts 40 \
         --judge world {options}"
    )
}

/// The prompts of a fixture file, by the number of their line.
fn prompts(data: &str) -> Vec<Vec<Message>> {
    let text = fs::read_to_string(format!("{FIXTURES}/data/{data}/train.jsonl")).unwrap();
    let prompt = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        serde_json::from_value(row["prompt"].clone()).unwrap()
    };
    text.lines().map(prompt).collect()
}

#[test]
fn a_reward_of_length_is_caught_before_the_answers_are_worse_than_at_the_start() {
    let place = Place::new();
    let steps: Vec<String> = (2..12).map(|step| format!("length:{}..9999", 30 * step)).collect();
    let options = format!(
        "--reward-funcs {} --max-new-tokens 96 --num-generations 4 --per-device-train-batch-size 64 \
         --learning-rate 1e-3 --beta 0.01 --total-episodes 2048 --seed 1",
        steps.join(",")
    );
    let ended = place.ended(&run("prompts", &options));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let stop = ended.stderr.lines().last().unwrap();
    assert!(
        stop.contains("the supervisor stopped the run") && stop.contains("reward_length_correlation"),
        "{stop}"
    );

    // What training knows nothing of: the true quality of what was sampled, phase by phase.
    let prompts = prompts("prompts");
    let samples = fs::read_to_string(place.path("out/samples.jsonl")).unwrap();
    let mut quality: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for line in samples.lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let (_, row) = sample["origin"].as_str().unwrap().rsplit_once(':').unwrap();
        let prompt = &prompts[row.parse::<usize>().unwrap() - 1];
        let judged = judge::quality(prompt, sample["completion"].as_str().unwrap()).unwrap();
        quality.entry(sample["phase"].as_u64().unwrap()).or_default().push(judged);
    }
    let means: Vec<f64> =
        quality.values().map(|phase| phase.iter().sum::<f64>() / phase.len() as f64).collect();
    assert!(means.len() < 10, "it took {} phases", means.len());
    let last = means.last().unwrap();
    assert!(*last > means[0] - 0.1, "quality by phase: {means:?}");

    let report: Value =
        serde_json::from_str(&fs::read_to_string(place.path("out/report.json")).unwrap()).unwrap();
    let rate = &report["win_rate"];
    assert_eq!(rate["measure"], "world judge");
    assert!(
        rate["mean_after"].as_f64() >= rate["mean_before"].as_f64(),
        "the model that is kept is no worse: {rate}"
    );
    assert_eq!(report["supervisor_actions"].as_array().unwrap().last().unwrap()["action"], "stop");
}

#[test]
fn a_ruinous_learning_rate_is_rolled_back_and_then_stopped_and_nothing_is_nan() {
    let place = Place::new();
    let options = "--reward-funcs numeric_answer --max-new-tokens 24 --num-generations 8 \
        --per-device-train-batch-size 64 --learning-rate 1.0 --beta 0.02 --total-episodes 1024 --max-roll-backs 1";
    let ended = place.ended(&run("sums", options));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("the supervisor stopped the run"), "{}", ended.stderr);
    let out = place.run("out");
    let report = out.json("report.json");
    let actions: Vec<&str> = report["supervisor_actions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|action| action["action"].as_str())
        .collect();
    // As often as it may go back, and then no further; warnings may stand between.
    let decisive: Vec<&str> =
        actions.iter().copied().filter(|it| ["roll_back", "stop"].contains(it)).collect();
    assert_eq!(decisive, ["roll_back", "stop"], "{actions:?}");
    // What is not finite is written as null.
    let values = out.log().into_iter().flat_map(|entry| entry.into_iter());
    let lost: Vec<String> = values.filter(|(_, value)| value.is_null()).map(|(name, _)| name).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(out.weights().values().flatten().all(|weight| weight.is_finite()));
    assert_eq!(
        report["score_after"], report["score_before"],
        "the model that is kept is the one that it started from"
    );
}

#[test]
fn a_policy_of_nan_ends_the_program_and_no_model_is_written() {
    for method in ["ppo", "grpo", "online_dpo"] {
        let place = Place::new();
        let path = place.path("model/model.safetensors");
        let mut weights = fs::read(&path).unwrap();
        let last = weights.len() - 4;
        weights[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        fs::write(path, weights).unwrap();
        let options = format!(
            "--model model --dataset data.jsonl --output-dir out --method {method} --reward-funcs length:1..30 \
             --max-new-tokens 8 --per-device-train-batch-size 8 --max-steps 4 --report-to none"
        );
        let ended = place.ended(&options);
        assert_eq!(ended.code, Some(1), "{method}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("error: the model's logits are not finite"),
            "{method}: {}",
            ended.stderr
        );
        assert!(!place.path("out/model.safetensors").exists() && !place.path("out/report.json").exists());
    }
}
