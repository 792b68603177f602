//! Shapes of rows that people have, with something in them that is none of it.

use serde_json::{Value, json};

use super::{row, row_with};
use crate::make::{demonstration, pair};
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    [demonstrations(), preferences(), left_out(), mappings()].into_iter().flatten().collect()
}

fn demonstrations() -> Vec<Row> {
    let second = |name: &str, line: Value| {
        let good = demonstration("Question: who?\nAnswer:", " Nobody.");
        row(&format!("shapes: {name}"), "train-sft")
            .put("sft.jsonl", format!("{good}\n{line}\n"))
            .refused(&["sft.jsonl:2"])
    };
    let said = |from: &str, value: Value| json!({ "conversations": [{ "from": from, "value": value }] });
    let parts = |part: Value| json!({ "messages": [{ "role": "user", "content": [part] }] });
    vec![
        second("ShareGPT: a stranger", said("captain", json!("Hi."))).refused(&["conversations[0].from", "human"]),
        second("ShareGPT: a speaker of control characters", said("\u{1b}[31m\u{7}", json!("Hi."))),
        second("ShareGPT: a speaker of 100,000 letters", said(&"r".repeat(100_000), json!("Hi."))),
        second("ShareGPT: a number", said("human", json!(5))).refused(&["conversations[0].value"]),
        second("ShareGPT: nothing", said("human", Value::Null)),
        second("ShareGPT: a call that is no JSON", said("function_call", json!("{{{"))).refused(&["arguments"]),
        second("ShareGPT: a call without a name", said("function_call", json!("[{}, 5]"))),
        second("ShareGPT: a call of 100,000 lists", said("function_call", json!("[".repeat(100_000)))),
        second("parts: a picture", parts(json!({ "type": "image_url" }))).refused(&["content[0]", "image_url"]),
        second("parts: a kind of control characters", parts(json!({ "type": "\u{1b}[31m" }))),
        second("parts: a kind of 100,000 letters", parts(json!({ "type": "t".repeat(100_000) }))),
        second("parts: a number", parts(json!(5))),
        second("alpaca: a history of nothing", json!({ "instruction": "a", "output": "b", "history": [[]] }))
            .refused(&["history[0]"]),
        second("alpaca: a history that is text", json!({ "instruction": "a", "output": "b", "history": "a" })),
        second("alpaca: a system that is a list", json!({ "instruction": "a", "output": "b", "system": [1] }))
            .refused(&["system"]),
        second("alpaca: an empty answer", json!({ "instruction": "a", "output": "" })).refused(&["output"]),
        second("seeds: two instances", json!({ "instruction": "a", "instances": [{ "output": "b" }, 5] }))
            .refused(&["instances"]),
        second("a picture beside it", json!({ "prompt": "a", "completion": "b", "images": ["x"] }))
            .refused(&["images"]),
        second("tools beside text", json!({ "prompt": "a", "completion": "b", "tools": "[1]" })).refused(&["tools"]),
        second("tools that are no JSON", json!({ "conversations": [{ "from": "gpt", "value": "a" }], "tools": "[" }))
            .refused(&["tools"]),
        second("another prompt than the conversation's", json!({
            "prompt": "another", "messages": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }],
        }))
        .refused(&["prompt", "lost"]),
    ]
}

fn preferences() -> Vec<Row> {
    let second = |name: &str, line: Value| {
        let good = pair("Question: who?\nAnswer:", " Nobody.", " You.");
        row(&format!("shapes: {name}"), "train-dpo")
            .put("pairs.jsonl", format!("{good}\n{line}\n"))
            .refused(&["pairs.jsonl:2"])
    };
    let graded = |grades: Value| json!({ "instruction": "a", "generations": ["b", "c"], "ratings": grades });
    let deep =
        (0..100).fold(json!([]), |inner, _| json!([{ "role": "assistant", "text": "a", "replies": inner }]));
    vec![
        second("grades: one too few", graded(json!([1]))).refused(&["ratings"]),
        second("grades: words", graded(json!(["good", "bad"]))).refused(&["ratings[0]"]),
        second("grades: no number", graded(json!(["NaN", "inf"]))).refused(&["ratings[0]"]),
        second("grades: an object", graded(json!({ "a": 1 }))).refused(&["ratings"]),
        second("completions: without a grade", json!({ "instruction": "a", "completions": [{ "response": "b" }] })),
        second("completions: of several kinds", json!({ "instruction": "a", "completions": [{ "response": "b", "score": 1 }, 5] }))
            .refused(&["completions[1]"]),
        second("ranks: a text", json!({ "prompt": "a", "answers": [{ "answer": "b", "rank": "first" }] })),
        second("HelpSteer 3: a text", json!({ "context": [], "response1": "b", "response2": "c", "overall_preference": "x" }))
            .refused(&["overall_preference"]),
        second("HelpSteer 3: no questions", json!({ "context": [], "response1": "b", "response2": "c", "overall_preference": 1 }))
            .refused(&["context"]),
        second("arena: another winner", json!({ "conversation_a": [], "conversation_b": [], "winner": "\u{1b}[31m" }))
            .refused(&["winner"]),
        second("answers alone", json!({
            "chosen": [{ "role": "assistant", "content": "a" }], "rejected": [{ "role": "assistant", "content": "b" }],
        }))
        .refused(&["chosen", "share"]),
        second("two system turns", json!({
            "system": "a", "prompt": [{ "role": "system", "content": "b" }], "chosen": "c", "rejected": "d",
        }))
        .refused(&["system"]),
        second("a tree without roles", json!({ "message_tree_id": "1", "prompt": { "replies": [] } })).ends(&[0, 2], &[]).makes("out"),
        second("a tree that is deep", json!({ "message_tree_id": "1", "prompt": { "role": "prompter", "text": "a", "replies": deep } }))
            .ends(&[0, 2], &[])
            .makes("out"),
        second("a tree that is text", json!({ "message_tree_id": "1", "prompt": "a" })).refused(&["prompt"]),
    ]
}

/// Rows that may be left out, and those that are too many.
fn left_out() -> Vec<Row> {
    let good = demonstration("Question: who?\nAnswer:", " Nobody.") + "\n";
    let text =
        |bad: usize| good.repeat(100 - bad) + &"{\"prompt\": \"a\", \"completion\": \"\"}\n".repeat(bad);
    let run = |name: &str, bad: usize, options: &str| {
        row_with(&format!("left out: {name}"), "train-sft", options).put("sft.jsonl", text(bad))
    };
    vec![
        run("one of a hundred", 1, "").accepted().makes("out"),
        run("two of a hundred", 2, "").refused(&["sft.jsonl:99", "max_bad_rows"]),
        run("one where none may be", 1, "--max-bad-rows 0").refused(&["sft.jsonl:100"]),
        run("all of them", 100, "--max-bad-rows 1").refused(&["sft.jsonl"]),
    ]
}

fn mappings() -> Vec<Row> {
    let with = |value: &str, part: &str| {
        row_with(&format!("mapping: {}", value.chars().take(30).collect::<String>()), "train-sft", "")
            .word(format!("--column-mapping={value}"))
            .refused(&["column_mapping", part])
    };
    vec![
        with("prompt", "prompt=question"),
        with("=a", "prompt=question"),
        with("colour=a", "chosen"),
        with("prompt=a,prompt=b", "once"),
        with("system=nobody", "no training row has"),
        with(&format!("prompt={}", "x".repeat(100_000)), "no training row has"),
    ]
}
