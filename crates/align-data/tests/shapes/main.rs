//! What the rows of people's data sets are read as.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod grades;
mod parquet;

use std::path::PathBuf;

use align_data::{
    ColumnMapping, Dataset, Loaded, load_demonstrations, load_pairs, load_prompts, load_unpaired,
};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

fn file(rows: &[Value]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    (dir, path)
}

/// What is read of a row, and as what.
fn read<R: Serialize>(
    row: Value,
    load: impl Fn(&Dataset, &str) -> align_data::Result<Loaded<R>>,
) -> (Value, String) {
    let (_dir, path) = file(&[row]);
    let loaded = load(&(&path).into(), "train").unwrap();
    let shape = loaded.report.read_as[0].shape.clone();
    (serde_json::to_value(&loaded[0]).unwrap(), shape)
}

fn demonstration(row: Value) -> (Value, String) {
    read(row, |dataset, split| load_demonstrations(dataset, split))
}

fn pair(row: Value) -> (Value, String) {
    read(row, |dataset, split| load_pairs(dataset, split))
}

fn complaint(rows: &[Value]) -> String {
    let (_dir, path) = file(rows);
    let error = load_pairs(&path, "train").map(|_| ()).unwrap_err().to_string();
    error.split_once("rows.jsonl:").map_or(error.clone(), |(_, rest)| rest.to_owned())
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

fn assistant(text: &str) -> Value {
    json!({ "role": "assistant", "content": text })
}

fn system(text: &str) -> Value {
    json!({ "role": "system", "content": text })
}

fn answered(prompt: &[Value], completion: &Value) -> Value {
    json!({ "prompt": prompt, "completion": [completion] })
}

fn preferred(prompt: &[Value]) -> Value {
    json!({ "prompt": prompt, "chosen": [assistant("c")], "rejected": [assistant("r")] })
}

#[test]
fn instructions_and_questions_are_a_users() {
    let alpaca =
        json!({ "instruction": "i", "input": "x", "output": "o", "system": "s", "history": [["a", "b"]] });
    let expected = answered(&[system("s"), user("a"), assistant("b"), user("i\n\nx")], &assistant("o"));
    assert_eq!(demonstration(alpaca), (expected, "instructions with answers".to_owned()));
    let bare = json!({ "instruction": "i", "input": "", "output": "o", "system": null, "history": [] });
    assert_eq!(demonstration(bare).0, answered(&[user("i")], &assistant("o")));
    let dolly = json!({ "instruction": "i", "context": "x", "response": "o", "category": "qa" });
    assert_eq!(demonstration(dolly).0, answered(&[user("i\n\nx")], &assistant("o")));
    let gsm8k = json!({ "question": "q", "answer": "#### 4" });
    let expected = answered(&[user("q")], &assistant("#### 4"));
    assert_eq!(demonstration(gsm8k), (expected, "questions with answers".to_owned()));
    let orca = json!({ "system_prompt": "s", "question": "q", "response": "r", "id": "1" });
    assert_eq!(demonstration(orca).0, answered(&[system("s"), user("q")], &assistant("r")));
    let graded = json!({ "prompt": "q", "response": "r", "helpfulness": 3 });
    assert_eq!(demonstration(graded).0, answered(&[user("q")], &assistant("r")));
    let seed = json!({ "instruction": "i", "instances": [{ "input": "x", "output": "o" }] });
    assert_eq!(demonstration(seed).0, answered(&[user("i\n\nx")], &assistant("o")));
}

#[test]
fn conversations_have_the_roles_that_templates_know() {
    let call = json!({ "name": "f", "arguments": { "x": 1 } });
    let sharegpt = json!({
        "system": "s",
        "conversations": [
            { "from": "human", "value": "q" },
            { "from": "function_call", "value": call.to_string() },
            { "from": "observation", "value": "1" },
            { "from": "gpt", "value": "a", "weight": null },
        ],
        "tools": "[{\"name\": \"f\", \"parameters\": null}]",
    });
    let expected = json!({
        "messages": [
            system("s"), user("q"),
            { "role": "assistant", "tool_calls": [{ "type": "function", "function": call }] },
            { "role": "tool", "content": "1" },
            assistant("a"),
        ],
        "tools": [{ "type": "function", "function": { "name": "f" } }],
    });
    assert_eq!(demonstration(sharegpt), (expected, "ShareGPT's conversations".to_owned()));
    let listed = json!({ "conversations": [user("q"), assistant("a")] });
    assert_eq!(demonstration(listed).0, json!({ "messages": [user("q"), assistant("a")] }));
    let thinking = json!({ "role": "assistant", "content": "a", "reasoning_content": "why" });
    let kept = json!({ "messages": [user("q"), thinking] });
    assert_eq!(demonstration(kept.clone()).0, kept);
}

#[test]
fn a_prompt_beside_messages_is_found_in_them_or_stands_before_them() {
    let turns = json!([user("q"), assistant("a")]);
    let repeated = json!({ "prompt": "q", "messages": turns, "chosen": turns, "rejected": turns });
    assert_eq!(demonstration(repeated).0, json!({ "messages": turns }));
    let before = json!({ "prompt": "q", "messages": [assistant("a")] });
    assert_eq!(demonstration(before).0, json!({ "messages": turns }));
    let (_dir, path) = file(&[json!({ "prompt": "another", "messages": turns })]);
    let error = load_demonstrations(&path, "train").unwrap_err().to_string();
    assert!(error.contains("`prompt`: expected what the conversations beside it begin with"), "{error}");
}

#[test]
fn text_in_parts_is_one_text_and_other_parts_are_refused_by_name() {
    let parts = json!([{ "type": "text", "text": "a", "image": null }, { "type": "text", "value": "b" }]);
    let row = json!({ "messages": [{ "role": "user", "content": parts }, assistant("c")] });
    assert_eq!(demonstration(row).0, json!({ "messages": [user("ab"), assistant("c")] }));
    let image = json!([{ "type": "image_url", "image_url": { "url": "x" } }]);
    let (_dir, path) = file(&[json!({ "messages": [{ "role": "user", "content": image }, assistant("c")] })]);
    let error = load_demonstrations(&path, "train").unwrap_err().to_string();
    let expected = "`messages[0].content[0]`: expected a part of type `text`, found one of type `image_url`";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn prompts_and_answers_of_pairs_are_written_in_any_way() {
    let turns = |answer: &str| json!([user("p"), assistant(answer)]);
    let expected = preferred(&[user("p")]);
    let strings = json!({ "prompt": "p", "chosen": "c", "rejected": "r" });
    assert_eq!(pair(strings.clone()).0, strings);
    for row in [
        json!({ "prompt": "p", "chosen": [assistant("c")], "rejected": [assistant("r")] }),
        json!({ "prompt": [user("p")], "chosen": "c", "rejected": "r" }),
        json!({ "prompt": [user("p")], "chosen": [assistant("c")], "rejected": [assistant("r")] }),
        json!({ "prompt": [user("p")], "chosen": turns("c"), "rejected": turns("r") }),
        json!({ "prompt": "p", "chosen": turns("c"), "rejected": turns("r") }),
        json!({ "chosen": turns("c"), "rejected": turns("r") }),
        json!({ "question": "p", "chosen": "c", "rejected": "r" }),
        json!({ "question": "p", "chosen": turns("c"), "rejected": turns("r") }),
        json!({ "conversations": [{ "from": "human", "value": "p" }], "chosen": { "from": "gpt", "value": "c" },
            "rejected": { "from": "gpt", "value": "r" } }),
        json!({ "trajectory": [{ "from": "user", "value": "p" }], "chosen": "c", "rejected": "r" }),
        json!({ "instruction": "p", "chosen_response": "c", "rejected_response": "r" }),
        json!({ "question": "p", "response_j": "c", "response_k": "r" }),
        json!({ "chosen_messages": turns("c"), "rejected_messages": turns("r") }),
        json!({ "context": [user("p")], "response1": "r", "response2": "c", "overall_preference": 2 }),
        json!({ "context": [user("p")], "response1": "c", "response2": "r", "overall_preference": -1.0 }),
        json!({ "conversation_a": turns("r"), "conversation_b": turns("c"), "winner": "model_b" }),
        json!({ "prompt": "p", "response_a": "c", "response_b": "r", "winner": "model_a" }),
        json!({ "instruction": "p", "input": "", "response1": "r", "response2": "c", "annotator1": 2, "annotator2": 2,
            "annotator3": 1 }),
        json!({ "instruction": "p", "completions": [
            { "response": "r", "overall_score": 9, "annotations": { "honesty": { "Rating": "2" }, "truth": { "Rating": "N/A" } } },
            { "response": "c", "overall_score": 1, "annotations": { "honesty": { "Rating": "4" }, "truth": { "Rating": "5" } } },
        ] }),
        json!({ "instruction": "p", "generations": ["r", "x", "c"], "ratings": [1, 2.5, "3"] }),
        json!({ "prompt": "\n\nHuman: p\n\nAssistant: ", "answers": [{ "answer": "r", "rank": 7.0 },
            { "answer": "c", "rank": 1.0 }] }),
        json!({ "message_tree_id": "1", "prompt": { "role": "prompter", "text": "p", "replies": [
            { "role": "assistant", "text": "r", "rank": 1, "replies": [] },
            { "role": "assistant", "text": "c", "rank": 0, "replies": [] },
            { "role": "assistant", "text": "unranked", "rank": null, "replies": [] } ] } }),
    ] {
        assert_eq!(pair(row.clone()).0, expected, "{row}");
    }
    let with_system = preferred(&[system("s"), user("p")]);
    for row in [
        json!({ "system": "s", "prompt": "p", "chosen": "c", "rejected": "r" }),
        json!({ "system": "s", "question": "p", "chosen": "c", "rejected": "r" }),
        json!({ "system": "s", "chosen": turns("c"), "rejected": turns("r") }),
        json!({ "system": "s", "prompt": [system("s"), user("p")], "chosen": "c", "rejected": "r" }),
        json!({ "system": "s", "prompt": "p", "chosen": turns("c"), "rejected": turns("r") }),
    ] {
        assert_eq!(pair(row.clone()).0, with_system, "{row}");
    }
}

#[test]
fn what_would_be_lost_is_refused() {
    let turns = |answer: &str| json!([user("p"), assistant(answer)]);
    let check = |row: Value, expected: &str| {
        let found = complaint(&[row]);
        assert!(found.starts_with(expected), "{found}");
    };
    check(
        json!({ "prompt": "another", "chosen": turns("c"), "rejected": turns("r") }),
        "1: `prompt`: expected what the conversations beside it begin with, found another text, which would be lost",
    );
    check(
        json!({ "chosen": [assistant("c")], "rejected": [assistant("r")] }),
        "1: `chosen`: expected conversations that share the turns before their last answers, or a `prompt`",
    );
    check(
        json!({ "prompt": "p", "chosen": "c", "rejected": "r", "images": ["x"] }),
        "1: `images`: expected nothing, found a list of 1; rows of this shape are read without it",
    );
    check(
        json!({ "prompt": "p", "chosen": "c", "rejected": "r", "tools": [{ "name": "f" }] }),
        "1: `tools`: expected nothing",
    );
    check(
        json!({ "chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c", "system": "s" }),
        "1: `system`: expected nothing",
    );
    check(
        json!({ "system": "t", "prompt": [system("s"), user("p")], "chosen": "c", "rejected": "r" }),
        "1: `system`: expected nothing, or the system turn that the messages begin with, found another one",
    );
    let unharmed =
        json!({ "prompt": "p", "chosen": "c", "rejected": "r", "images": [], "system": "", "tools": null });
    assert_eq!(pair(unharmed).0["prompt"], "p");
}

#[test]
fn labelled_conversations_end_with_what_is_labelled() {
    let row = json!({ "messages": [user("q"), assistant("a"), user("p"), assistant("c")], "label": false });
    let (_dir, path) = file(&[row]);
    let rows = load_unpaired(&path, "train").unwrap();
    let expected = json!({ "prompt": [user("q"), assistant("a"), user("p")], "completion": [assistant("c")], "label": false });
    assert_eq!(serde_json::to_value(&rows[0]).unwrap(), expected);
    let (_dir, path) = file(&[json!({ "messages": [user("q")], "label": true })]);
    let error = load_unpaired(&path, "train").unwrap_err().to_string();
    assert!(error.contains("a conversation that ends with an answer"), "{error}");
}

#[test]
fn prompts_are_found_in_any_of_them() {
    let prompt = |row: Value| read(row, |dataset, split| load_prompts(dataset, split)).0["prompt"].clone();
    assert_eq!(prompt(json!({ "prompt": "p" })), "p");
    let turns = [user("p"), assistant("c")];
    let alone = json!([user("p")]);
    assert_eq!(prompt(json!({ "messages": turns })), alone);
    assert_eq!(prompt(json!({ "prompt": "p", "chosen": turns, "rejected": turns })), alone);
    assert_eq!(prompt(json!({ "question": "p", "answer": "a" })), alone);
    assert_eq!(prompt(json!({ "turns": ["p", "q"] })), alone);
    assert_eq!(
        prompt(
            json!({ "conversations": [{ "from": "human", "value": "p" }, { "from": "gpt", "value": "c" }] })
        ),
        alone
    );
    assert_eq!(
        prompt(json!({ "prompt": "p", "response_a": "a", "response_b": "b", "winner": "tie" })),
        alone
    );
    assert_eq!(prompt(json!({ "instruction": "p", "generations": ["a", "b"], "ratings": [1, 1] })), alone);
    assert_eq!(prompt(json!({ "prompt": "p", "response": "a", "helpfulness": 1 })), alone);
    assert_eq!(
        prompt(json!({ "prompt": "\n\nHuman: p\n\nAssistant: ", "answers": [{ "answer": "", "rank": 1 }] })),
        alone
    );
    assert_eq!(prompt(json!({ "instruction": "p", "instances": [{ "input": "", "output": "a" }] })), alone);
    assert_eq!(prompt(json!({ "conversation_a": turns, "conversation_b": turns, "winner": "tie" })), alone);
    assert_eq!(prompt(json!({ "instruction": "p", "output_1": "a", "output_2": "b", "winner": 1 })), alone);
}

#[test]
fn columns_are_called_what_the_mapping_says() {
    let (_dir, path) = file(&[json!({ "ask": "p", "good": "c", "bad": "r" })]);
    let load = |mapping: &[&str]| {
        let columns =
            ColumnMapping::parse(&mapping.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>())
                .unwrap();
        load_pairs(Dataset { columns, ..Dataset::from(&path) }, "train")
    };
    let pairs = load(&["question=ask", "chosen=good", "rejected=bad"]).unwrap();
    assert_eq!(serde_json::to_value(&pairs[0]).unwrap(), preferred(&[user("p")]));
    assert_eq!(pairs.report.unmapped, [""; 0]);
    let pairs = load(&["question=ask", "chosen=good", "rejected=bad", "system=who"]).unwrap();
    assert_eq!(pairs.report.unmapped, ["system=who"]);
}

#[test]
fn unusable_rows_are_left_out_up_to_a_share() {
    let row = |chosen: &str| json!({ "prompt": "p", "chosen": chosen, "rejected": "r" });
    let mut rows = vec![row("c"); 98];
    rows.insert(40, row(""));
    rows.insert(60, json!({ "prompt": "p", "chosen": "c", "rejected": "r", "images": ["x"] }));
    let (_dir, path) = file(&rows);
    let load = |max_bad_rows| load_pairs(Dataset { max_bad_rows, ..Dataset::from(&path) }, "train");
    let pairs = load(0.02).unwrap();
    let reasons: Vec<_> = pairs.report.left_out.iter().map(|it| (it.reason.as_str(), it.rows)).collect();
    assert_eq!(reasons, [("`chosen`: expected text", 1), ("`images`: expected nothing", 1)]);
    assert_eq!((pairs.len(), pairs.report.bad), (98, 2));
    let error = load(0.01).unwrap_err().to_string();
    assert!(error.contains("rows.jsonl:41: `chosen`: expected text, found nothing"), "{error}");
    assert!(
        error
            .ends_with("; at least 2 of 100 rows cannot be used, expected at most 1 % (max_bad_rows = 0.01)"),
        "{error}"
    );
    let error = load(0.0).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "rows.jsonl:41: `chosen`: expected text, found nothing: it is empty; correct or remove the row"
        ),
        "{error}"
    );
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "{").unwrap();
    assert!(load(1.0).unwrap_err().to_string().contains("rows.jsonl:101: malformed JSON"));
}
