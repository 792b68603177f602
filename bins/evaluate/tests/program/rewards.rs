//! Who gives rewards: a program or a server in the place of a reward model, a classifier with an encoder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::{fixtures, place, prompts, refused, report, run};

/// Puts a program there that gives an answer the length of the question about it.
fn program(dir: &Path) {
    let path = dir.join("score");
    fs::write(&path, "#!/bin/sh\nwhile read -r line; do echo \"[${#line}]\"; done\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

const MODELS: &str = "--model base=MODEL --model twin=MODEL --max-new-tokens 8";
const ASKED: &str = "--reward-command ./score --reward-batch-size 1";

#[test]
fn a_program_takes_the_place_of_a_reward_model() {
    let dir = place(&prompts());
    program(dir.path());
    let pair = json!({ "prompt": "Where?", "chosen": "Here, as you can see.", "rejected": "No." });
    fs::write(dir.path().join("pairs.jsonl"), pair.to_string()).unwrap();
    let options = "--prompts rows.jsonl --best-of-n 2 --preferences pairs.jsonl";
    let found = report(dir.path(), &format!("{MODELS} {ASKED} {options}"));
    let comparison = &found["comparison"];
    assert_eq!(comparison["judge"]["name"], json!("reward command"));
    for model in comparison["models"].as_array().unwrap() {
        assert!(
            model["reward"]["mean"].as_f64().unwrap() > 50.0,
            "a question has that many characters: {model}"
        );
        assert_eq!(model["win_rate"]["ties"], json!(4), "{model}");
    }
    assert!(found["best_of"].to_string().contains("reward command"), "{}", found["best_of"]);
    let judged = &found["preferences"][0];
    assert_eq!((&judged["model"], &judged["accuracy"]), (&json!("reward command"), &json!(1.0)));
    let rewards = ["chosen_rewards", "rejected_rewards"].map(|side| judged[side][0].as_f64().unwrap());
    assert_eq!(rewards[0] - rewards[1], 18.0, "the longer answer has so many characters more");

    let refuses =
        |options: &str, complaint: &str| refused(dir.path(), &format!("{MODELS} {options}"), complaint);
    let prompts = "--prompts rows.jsonl";
    refuses(
        &format!("{prompts} {ASKED} --reward-model REWARD"),
        "`reward_model`, `reward_command` and `reward_url`",
    );
    refuses(&format!("{prompts} {ASKED} --reward-url http://localhost/"), "keep one of them");
    refuses(&format!("{prompts} --reward-url nowhere"), "reward_url: ");
    refuses(
        &format!("{prompts} --reward-model REWARD --reward-timeout 3"),
        "`reward_timeout`: has no effect",
    );
    refuses(
        &format!("{prompts} --reward-model REWARD --reward-batch-size 3"),
        "`reward_batch_size`: has no effect",
    );
    refused(dir.path(), &format!("--preferences pairs.jsonl {ASKED}"), "name one with `--model`");
    refused(dir.path(), &format!("--run base=MODEL {ASKED}"), "`reward_command`: has no effect");
}

#[test]
fn a_program_that_gives_no_reward_ends_the_evaluation() {
    let dir = place(&prompts());
    let options = format!("{MODELS} --prompts rows.jsonl --output-dir out --reward-command false");
    let (code, _, stderr) = run(dir.path(), &options);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("reward_command `false`: ended (exit status: 1), started again too"), "{stderr}");
}

#[test]
fn an_encoder_judges_pairs_as_transformers_scores_them() {
    let golden = fixtures().join("golden/encoders/v3");
    let expected: Value = serde_json::from_slice(&fs::read(golden.join("expected.json")).unwrap()).unwrap();
    // An empty answer is none to compare.
    let rows = expected["rows"].as_array().unwrap().iter().filter(|row| row["answer"] != "");
    let (rows, scores): (Vec<Value>, Vec<f64>) = rows
        .map(|row| {
            let other = "Quite another answer.";
            let pair = json!({ "prompt": row["question"], "chosen": row["answer"], "rejected": other });
            (pair, row["score"].as_f64().unwrap())
        })
        .unzip();
    let dir = place(&rows);
    let found = report(dir.path(), "--preferences rows.jsonl --reward-model FIXTURES/golden/encoders/v3");
    let judged = &found["preferences"][0];
    assert_eq!((&judged["model"], &judged["pairs"]), (&json!("v3"), &json!(scores.len())));
    let found = judged["chosen_rewards"].as_array().unwrap().iter().map(|reward| reward.as_f64().unwrap());
    for (found, expected) in found.zip(scores) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
    // Conversations are spelled out for it.
    let chat = |text: &str| json!([{ "role": "user", "content": text }]);
    let said = |text: &str| json!([{ "role": "assistant", "content": text }]);
    let pair = json!({ "prompt": chat("Why?"), "chosen": said("Because."), "rejected": said("No.") });
    fs::write(dir.path().join("chat.jsonl"), pair.to_string()).unwrap();
    let found = report(dir.path(), "--preferences chat.jsonl --reward-model FIXTURES/golden/encoders/v3");
    assert_eq!(found["preferences"][0]["pairs"], json!(1));
}

#[test]
fn a_report_that_is_replaced_is_said() {
    let dir = place(&[json!({ "prompt": "Where?", "chosen": "Here.", "rejected": "Nowhere." })]);
    let options = "--reward-model REWARD --preferences rows.jsonl --output-dir out";
    let notice = "out: the report there is replaced";
    let (code, _, stderr) = run(dir.path(), options);
    assert!(code == 0 && !stderr.contains(notice), "{stderr}");
    let (code, _, stderr) = run(dir.path(), options);
    assert!(code == 0 && stderr.contains(notice), "{stderr}");
}
