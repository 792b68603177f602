//! What each bad row is called.

use align_data::{load_demonstrations, load_pairs};

use super::dir;

/// What loading a file with this second row says, without the directory.
fn complaint<T>(
    second: &str,
    load: impl Fn(std::path::PathBuf) -> align_data::Result<align_data::Loaded<T>>,
) -> String {
    let good = r#"{"prompt":"p","chosen":"c","rejected":"r","completion":"c"}"#;
    let dir = dir(&[("f.jsonl", format!("{good}\n{second}\n").as_bytes())]);
    let error = load(dir.path().join("f.jsonl")).map(|_| ()).unwrap_err().to_string();
    error.rsplit_once("f.jsonl:").map(|(_, rest)| rest.to_owned()).unwrap_or(error)
}

#[test]
fn bad_pairs_are_named_by_line_and_column() {
    let check = |row: &str, expected: &str| assert_eq!(complaint(row, |f| load_pairs(f, "train")), expected);
    check(
        r#"{"prompt":"p","chosen":"c","rejected":true}"#,
        "2: `rejected`: expected a string or a list of messages, found the boolean `true`",
    );
    check(
        r#"{"prompt":"p","chosen":"","rejected":"r"}"#,
        "2: `chosen`: expected text, found nothing: it is empty; correct or remove the row",
    );
    check(
        r#"{"prompt":"p","choosen":"c","rejected":"r"}"#,
        "2: `chosen`: expected a column of this name, found only `prompt`, `choosen`, `rejected` (is `choosen` meant?)",
    );
    check(
        r#"{"prompt":"p","chosen":null,"rejected":"r"}"#,
        "2: `chosen`: expected a string or a list of messages, found null",
    );
    check(
        r#"{"prompt":"p","chosen":[{"role":"assistant","content":"c"}],"rejected":"r"}"#,
        "2: `rejected`: expected a list of messages, as in `chosen`, found a string",
    );
    check(
        r#"{"chosen":[{"speaker":"gpt","value":"c"}],"rejected":[]}"#,
        "2: `chosen[0]`: expected a message with `role` and `content` (or `from` and `value`), \
         found an object with the keys `speaker`, `value`",
    );
    check(
        r#"{"prompt":"p","chosen":[{"role":"assistant","content":3}],"rejected":"r"}"#,
        "2: `chosen[0].content`: expected a string, found the number `3`",
    );
    check(
        r#"{"chosen":"\n\nHuman: a\n\nAssistant:","rejected":"\n\nHuman: a\n\nAssistant: b"}"#,
        "2: `chosen`: expected an answer after the last `Assistant:`, found nothing: the transcript ends there; \
         correct or remove the row",
    );
    check(
        r#"{"prompt":"p","chosen":"c","rejected":"r","tools":7}"#,
        "2: `tools`: expected nothing, found the number `7`; rows of this shape are read without it, and would mean \
         something else",
    );
    check(
        r#"{"prompt":[{"role":"user","content":"p"}],"chosen":"c","rejected":"r","tools":7}"#,
        "2: `tools`: expected a list of JSON schemas, found the number `7`",
    );
    check(
        r#"{"prompt": p}"#,
        "2: malformed JSON: expected value (column 12); expected one JSON object per line, or one array of objects",
    );
}

#[test]
fn bad_demonstrations_are_named_by_line_and_column() {
    let check =
        |row: &str, expected: &str| assert_eq!(complaint(row, |f| load_demonstrations(f, "train")), expected);
    check(
        r#"{"instruction":"a","result":"b"}"#,
        "2: `text`: expected `prompt` and `completion`, or `messages`, or `text`, found only `instruction`, `result`",
    );
    check(
        r#"{"prompt":"p","completion":""}"#,
        "2: `completion`: expected text, found nothing: it is empty; correct or remove the row",
    );
    check(r#"{"text":["a"]}"#, "2: `text`: expected a string, found a list of 1");
    check(
        r#"{"messages":[]}"#,
        "2: `messages`: expected at least one message, found an empty list; correct or remove the row",
    );
}

#[test]
fn an_answer_by_another_role_is_refused() {
    let turn = |role: &str| format!(r#"[{{"role":"{role}","content":"x"}}]"#);
    for (chosen, field) in [("user", "chosen"), ("assistant", "rejected")] {
        let row = format!(
            r#"{{"prompt":{},"chosen":{},"rejected":{}}}"#,
            turn("user"),
            turn(chosen),
            turn("system")
        );
        let dir = dir(&[("f.jsonl", row.as_bytes())]);
        let error = load_pairs(dir.path().join("f.jsonl"), "train").unwrap_err().to_string();
        assert!(error.contains("f.jsonl:1") && error.contains(&format!("`{field}`")), "{error}");
        assert!(error.contains("role `assistant`"), "{error}");
    }
}

#[test]
fn texts_without_a_prompt_column_or_a_shared_turn_are_refused() {
    let row = br#"{"promt":"q","chosen":"The answer is five.","rejected":"The answer is six."}"#;
    let dir = dir(&[("f.jsonl", row)]);
    let error = load_pairs(dir.path().join("f.jsonl"), "train").unwrap_err().to_string();
    assert!(error.contains("f.jsonl:1") && error.contains("(is `promt` meant?)"), "{error}");
}
