//! What answers give away without their prompts, beside what models make of both.

use std::fs;

use serde_json::{Value, json};

use crate::{place, refused, report};

#[test]
fn accuracy_stands_beside_what_answers_give_away_without_their_prompts() {
    let pair =
        |chosen: &str, rejected: &str| json!({ "prompt": "Where?", "chosen": chosen, "rejected": rejected });
    let dir = place(&[
        pair("It is kindly there.", "It is rudely there."),
        pair("A kindly answer of quite other words.", "No."),
        pair("Here.", "Nowhere at all, and never again."),
    ]);
    let training = [pair("Said kindly.", "Said rudely."), pair("kindly", "rudely"), pair("Here.", "There.")];
    let lines: Vec<String> = training.iter().map(Value::to_string).collect();
    fs::write(dir.path().join("train.jsonl"), lines.join("\n")).unwrap();
    let judged = "--reward-model REWARD --preferences rows.jsonl";
    let found = report(dir.path(), &format!("{judged} --train-preferences train.jsonl"));
    let baselines = found["preferences"][0]["baselines"].as_array().unwrap();
    let value =
        |name: &str| baselines.iter().find(|rule| rule["name"] == name).map(|rule| rule["value"].clone());
    assert_eq!(value("answers alone"), Some(json!(1.0)));
    // One answer of three is known, and right.
    assert_eq!(value("answers looked up"), Some(json!((1.0 + 0.5 + 0.5) / 3.0)));
    let subsets = found["preferences"][0]["subsets"].as_array().unwrap();
    let pairs: Vec<_> =
        subsets.iter().map(|subset| (subset["name"].clone(), subset["pairs"].clone())).collect();
    assert_eq!(pairs, [(json!("few words differ"), json!(1)), (json!("all other pairs"), json!(2))]);
    let page = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(page.contains("answers alone") && page.contains("few words differ"));

    let unknown = report(dir.path(), judged);
    assert_eq!(unknown["preferences"][0]["baselines"].as_array().unwrap().len(), 3);
    refused(
        dir.path(),
        "--model base=MODEL --prompts rows.jsonl --judge world --train-preferences train.jsonl --output-dir out",
        "`train_preferences`: has no effect, without `--preferences`",
    );
}
