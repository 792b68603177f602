//! What is refused, before anything is made.

use std::fs;

use super::{place, prompts, refused};

#[test]
fn an_output_that_cannot_be_is_noticed_first_and_nothing_is_made_before_all_inputs_are_right() {
    let dir = place(&prompts());
    let asked = "--model MODEL --prompts rows.jsonl";
    fs::write(dir.path().join("file"), "").unwrap();
    let judged = format!("{asked} --reward-model REWARD");
    refused(dir.path(), &format!("{judged} --output-dir file"), "output_dir file: cannot write there");
    let out = dir.path().join("out");
    let held = align_files::OutputDir::beside(&out, &[]).unwrap();
    refused(dir.path(), &format!("{judged} --output-dir out"), "output_dir out: in use by process");
    drop(held);
    fs::create_dir(dir.path().join("run")).unwrap();
    fs::write(dir.path().join("run/report.json"), r#"{"kind": "dpo", "schema": 1}"#).unwrap();
    let replaces = "output_dir run/report.json: is a report of kind \"dpo\", which this report would replace";
    refused(dir.path(), &format!("{judged} --output-dir run"), replaces);
    let endpoint =
        "--judge-url http://127.0.0.1:9 --judge-model m --preferences nothing.jsonl --output-dir out";
    refused(dir.path(), &format!("{asked} {endpoint}"), "nothing.jsonl");
    assert!(!out.exists(), "something was made although an input is wrong");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let dir = place(&prompts());
    let check = |options: &str, complaint: &str| refused(dir.path(), options, complaint);
    check("", "nothing to evaluate");
    check("--model MODEL --prompts rows.jsonl", "nobody to judge: name a `--reward-model`");
    check("--model MODEL --prompts rows.jsonl --judge endpoint", "`judge` endpoint: name its address");
    check(
        "--model MODEL --model MODEL --prompts rows.jsonl --reward-model REWARD",
        "two models are called `model`",
    );
    check(
        "--model a=REWARD --prompts rows.jsonl --reward-model REWARD",
        "is a reward model; expected a language model",
    );
    check("--model MODEL --prompts rows.jsonl --reward-model MODEL", "expected a reward model");
    check(
        "--model MODEL --preferences rows.jsonl --judge-model gpt",
        "`judge_model`: has no effect, without `--judge-url`",
    );
    check("--prompts rows.jsonl --reward-model REWARD", "nothing to evaluate");
    check(
        "--model MODEL --prompts rows.jsonl --judge-url ftp://x --judge-model m",
        "expected an address such as",
    );
    check("--model MODEL --prompts rows.jsonl --judge world", "the prompt is none of the fixtures' world");
    let judged = "--model MODEL --prompts rows.jsonl --reward-model REWARD";
    check(&format!("{judged} --best-of-n 4 --temperature 0"), "`best_of_n`: greedy answers");
    check(&format!("{judged} --reference-column right"), "no judge compares with a right answer");
    check(&format!("{judged} --split train"), "`split`: has no effect, all data are files");
    check(&format!("{judged} --dataset-config a"), "`dataset_config`: has no effect, all data are files");
    check(
        &format!("{judged} --judge reward_model --judge-url http://x --judge-model m"),
        "`judge_url`: has no effect, neither `judge` nor `critic` is the endpoint",
    );
    check(
        "--model MODEL --prompts rows.jsonl --reward-model REWARD --principles rows.jsonl --critic x",
        "`critic` x: expected",
    );
}
