//! A model that computes NaN: it would lose every comparison without a word.

use std::fs;

use serde_json::json;

use crate::{fixtures, place, prompts, run};

#[test]
fn a_model_of_nan_ends_the_program_and_no_report_is_written() {
    let dir = place(&prompts());
    fs::create_dir(dir.path().join("nan")).unwrap();
    for entry in fs::read_dir(fixtures().join("golden/runs/model")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join("nan").join(path.file_name().unwrap())).unwrap();
    }
    let path = dir.path().join("nan/model.safetensors");
    let mut weights = fs::read(&path).unwrap();
    let last = weights.len() - 4;
    weights[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(path, weights).unwrap();
    let pair = json!({ "prompt": "Where?", "chosen": " Here.", "rejected": " No." });
    fs::write(dir.path().join("pairs.jsonl"), pair.to_string()).unwrap();
    for (options, words) in [
        ("--prompts rows.jsonl --reward-model REWARD", "the model's logits are not finite at token 0"),
        ("--preferences pairs.jsonl", "model nan: its log-probs are not finite"),
    ] {
        let options = format!("--model base=MODEL --model nan=nan --output-dir out {options}");
        let (code, stdout, stderr) = run(dir.path(), &options);
        assert_eq!((code, stdout.as_str()), (1, ""), "{options}: {stderr}");
        assert!(stderr.contains(words), "{options}: {stderr}");
        assert!(!dir.path().join("out/report.json").exists());
    }
}
