//! Data that cannot be read is refused by file and line; data that only looks strange is not.

use std::fs;

use serde_json::{Value, json};

use crate::stage;
use crate::support::{Place, check, training};

/// A good row, with one column set to something else.
fn row_with(column: &str, value: &Value) -> String {
    let mut row = json!({ "prompt": "Question: why?\nAnswer:" });
    for completion in stage::COMPLETIONS {
        row[completion] = format!(" the {completion} answer").into();
    }
    row[column] = value.clone();
    row.to_string()
}

fn good_row() -> String {
    row_with("prompt", &"Question: who?\nAnswer:".into())
}

/// A data file of these bytes is refused.
fn check_data(content: impl AsRef<[u8]>, fragments: &[&str]) {
    let place = Place::new();
    place.write("bad.jsonl", content);
    check(&place, "--model model --dataset bad.jsonl --output-dir out", fragments);
}

/// A data file whose second line is this is refused, by that line.
fn check_row(row: &str, fragments: &[&str]) {
    let fragments = [&["bad.jsonl:2: "], fragments].concat();
    check_data(format!("{}\n{row}\n{}\n", good_row(), good_row()), &fragments);
}

#[test]
fn a_bad_row_is_named_by_file_and_line() {
    let answer = stage::COMPLETIONS[0];
    let column = format!("`{answer}`");
    check_row("{\"prompt\": ", &["malformed JSON", "EOF"]);
    check_row("[1, 2]", &["a row is a list of 2"]);
    check_row("\"text\"", &["a row is the string `text`"]);
    check_row("null", &["a row is null"]);
    check_row("{\"n\": NaN}", &["malformed JSON"]);
    check_row("{\"n\": 1e999}", &["malformed JSON", "out of range"]);
    check_row("{\"prompt\": \"\\ud800\"}", &["malformed JSON"]);
    check_row(&format!("{{\"a\":{}", "[".repeat(100_000)), &["malformed JSON", "recursion limit"]);
    check_row(
        &good_row().replace(&format!("\"{answer}\""), "\"said\""),
        &[&column, "expected a column", "`said`"],
    );
    check_row(&row_with(answer, &json!("")), &[&column, "it is empty"]);
    check_row(&row_with(answer, &json!(true)), &[&column, "the boolean `true`"]);
    check_row(&row_with(answer, &json!(5)), &[&column, "the number `5`"]);
    check_row(&row_with(answer, &json!({ "text": "x" })), &[&column, "an object"]);
    check_row(&row_with(answer, &json!([])), &[&column, "an empty list"]);
    check_row(&row_with(answer, &json!([[[null]]])), &[&format!("`{answer}[0]`"), "a list of 1"]);
    check_row(
        &row_with(answer, &json!([{ "role": 3 }])),
        &[&format!("`{answer}[0].role`"), "the number `3`"],
    );
    check_row(&row_with("prompt", &json!(false)), &["`prompt`", "the boolean `false`"]);
    check_row(&row_with("prompt", &json!([null])), &["`prompt[0]`", "null"]);
}

#[test]
fn a_file_that_is_no_data_is_refused() {
    check_data("", &["bad.jsonl holds no rows"]);
    check_data("\n \n", &["bad.jsonl holds no rows"]);
    check_data("[]", &["bad.jsonl holds no rows"]);
    check_data(format!("[{}", good_row()), &["bad.jsonl:1", "the end of the file"]);
    check_data(format!("[{}] x", good_row()), &["bad.jsonl:1", "`x`"]);
    check_data(format!("{}\0", good_row()), &["bad.jsonl:1", "malformed JSON"]);
    let not_text = [good_row().as_bytes(), b"\n\xff\xfe{}"].concat();
    check_data(not_text, &["bad.jsonl", "line 2 is not UTF-8"]);
    check_data(b"\x1f\x8b\x08nothing", &["bad.jsonl", "gzip"]);
    check_data(b"\x28\xb5\x2f\xfdnothing", &["cannot read bad.jsonl"]);

    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    let words = |dataset: &str| format!("--model model --dataset {dataset} --output-dir out");
    check(&place, &words("empty"), &["empty: no split `train`; it has no data files"]);
    check(&place, &words("nothing.jsonl"), &["dataset `nothing.jsonl`", "no such file"]);
    check(&place, &words("org/nothing"), &["dataset `org/nothing`", "HF_HUB_OFFLINE"]);
    check(&place, &training("out", "--eval-dataset nothing.jsonl"), &["dataset `nothing.jsonl`"]);
    check(&place, &training("out", "--max-length 4"), &["none of the 24 rows is usable"]);
}

#[test]
fn what_only_looks_strange_is_accepted() {
    let accept = |content: String| {
        let place = Place::new();
        place.write("odd.jsonl", content);
        place.succeeds("--model model --dataset odd.jsonl --output-dir out --dry-run");
    };
    accept(format!("\u{feff}{}\r\n\r\n{}\r\n", good_row(), good_row()));
    accept(format!("[\n{},\n{}]", good_row(), good_row()));
    accept(row_with("id", &json!(u64::MAX)));
    accept(row_with("meta", &json!({ "a": [null, { "b": [null] }] })));
    accept(format!("{}\n{}", row_with("prompt", &json!("")), good_row()));
    accept(row_with("prompt", &json!("\u{0}\u{200b}\u{1f600} \u{202e}")));
}
