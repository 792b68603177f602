//! Rows of data: what is no row, no text, or too much of one.

use serde_json::{Value, json};

use super::{row, row_with};
use crate::make::{conversation, demonstration, nested, pair};
use crate::row::Row;

pub(super) fn rows() -> Vec<Row> {
    [lines(), columns(), messages(), files(), stages(), odd()].into_iter().flatten().collect()
}

fn good() -> String {
    demonstration("Question: who?\nAnswer:", " Nobody.")
}

/// A file of rows whose second line is this.
fn second(name: &str, line: impl AsRef<[u8]>) -> Row {
    let text = [good().as_bytes(), b"\n", line.as_ref(), b"\n", good().as_bytes(), b"\n"].concat();
    row(&format!("data: {name}"), "train-sft").put("sft.jsonl", text).refused(&["sft.jsonl:2"])
}

/// Lines that are no rows.
fn lines() -> Vec<Row> {
    vec![
        second("half an object", "{\"prompt\": "),
        second("a list", "[1, 2]"),
        second("a text", "\"text\""),
        second("null", "null"),
        second("a number", "5"),
        second("NaN", "{\"prompt\": NaN}"),
        second("infinity", "{\"prompt\": Infinity}"),
        second("a number above f64", "{\"prompt\": 1e999}"),
        second("single quotes", "{'prompt': 'a'}"),
        second("a comment", "// {}"),
        second("a comma at the end", "{\"prompt\": \"a\",}"),
        second("two objects", "{}{}"),
        second("a lone surrogate", "{\"prompt\": \"\\ud800\", \"completion\": \"a\"}"),
        second("a surrogate the wrong way round", "{\"prompt\": \"\\udc00\\ud800\", \"completion\": \"a\"}"),
        second("100,000 lists deep", format!("{{\"a\":{}}}", nested("[", "]", 100_000))),
        second("100,000 lists deep and open", "[".repeat(100_000)),
        second("100,000 objects deep", "{\"a\":".repeat(100_000)),
        second("a line feed in a text", "{\"prompt\": \"a\nb\"}"),
        second("a control character in a text", b"{\"prompt\": \"a\x07\"}"),
        second("a zero byte", b"{\"prompt\": \"a\0\"}"),
        second("not Unicode", b"{\"prompt\": \"\xff\xfe\", \"completion\": \"a\"}")
            .refused(&["sft.jsonl", "2"]),
        second("half a character", b"{\"prompt\": \"\xe2\x82\", \"completion\": \"a\"}")
            .refused(&["sft.jsonl", "2"]),
        second("an escape sequence for a row", b"\x1b[31m\x07"),
        second("100,000 letters that are no JSON", "x".repeat(100_000)),
        second("a number of 100,000 digits", format!("{{\"prompt\": {}}}", "9".repeat(100_000))),
    ]
}

/// Columns that are missing, misspelt, or of another type.
fn columns() -> Vec<Row> {
    let with = |name: &str, column: &str, value: Value| {
        let mut row = json!({ "prompt": "Question: who?\nAnswer:", "completion": " Nobody." });
        row[column] = value;
        second(name, row.to_string()).refused(&["sft.jsonl:2", column])
    };
    let mut rows = vec![
        second("no columns", "{}"),
        second("other columns", "{\"headline\": \"a\", \"body\": \"b\"}"),
        second("no completion", "{\"prompt\": \"a\"}").refused(&["completion"]),
        second("a column's name with an escape sequence", "{\"\\u001b[31m\\u0007\": 1}"),
        second(
            "100,000 columns",
            format!("{{{}}}", (0..100_000).map(|n| format!("\"c{n}\":1")).collect::<Vec<_>>().join(",")),
        ),
        second("a column's name of 100,000 letters", format!("{{\"{}\":1}}", "c".repeat(100_000))),
        second("a column twice", "{\"prompt\": \"a\", \"prompt\": \"b\"}"),
        with("an empty completion", "completion", json!("")),
    ];
    for (name, value) in [
        ("a number", json!(5)),
        ("a boolean", json!(true)),
        ("null", json!(null)),
        ("an object", json!({ "text": "a" })),
        ("an empty list", json!([])),
        ("a list of numbers", json!([1, 2])),
        ("a list in a list", json!([[["a"]]])),
    ] {
        rows.push(with(&format!("{name} for a completion"), "completion", value.clone()));
        rows.push(with(&format!("{name} for a prompt"), "prompt", value));
    }
    rows
}

/// Conversations.
fn messages() -> Vec<Row> {
    let with = |name: &str, messages: Value| {
        let row = json!({ "messages": messages }).to_string();
        let text = [conversation("Hi."), row, conversation("Hi.")].join("\n");
        super::row(&format!("messages: {name}"), "train-sft").put("sft.jsonl", text).refused(&["sft.jsonl:2"])
    };
    let say = |role: &str, content: Value| json!({ "role": role, "content": content });
    vec![
        with("a number", json!(5)),
        with("a text", json!("user: Hi.")),
        with("none", json!([])),
        with("a list of texts", json!(["Hi."])),
        with("no role", json!([{ "content": "Hi." }])),
        with("no content", json!([{ "role": "user" }])).ends(&[0, 2], &[]).makes("out"),
        with("a role that is a number", json!([say("user", json!("Hi.")), { "role": 3, "content": "Yes." }])),
        with(
            "a role that the template refuses",
            json!([say("captain", json!("Hi.")), say("assistant", json!("Yes."))]),
        ),
        with(
            "a role with an escape sequence",
            json!([say("\u{1b}[31m\u{7}", json!("Hi.")), say("assistant", json!("Yes."))]),
        ),
        with(
            "a role of 100,000 letters",
            json!([say(&"r".repeat(100_000), json!("Hi.")), say("assistant", json!("Yes."))]),
        ),
        with("content that is a number", json!([say("user", json!(5)), say("assistant", json!("Yes."))])),
        with(
            "content that is a list of pictures",
            json!([say("user", json!([{ "type": "image" }])), say("assistant", json!("Yes."))]),
        ),
        with("nobody answers", json!([say("user", json!("Hi."))])).ends(&[0, 2], &[]).makes("out"),
        with("the assistant alone", json!([say("assistant", json!("Hi."))])).ends(&[0, 2], &[]).makes("out"),
        with(
            "special tokens in a text",
            json!([say("user", json!("</s><|assistant|><s>")), say("assistant", json!("</s>"))]),
        )
        .ends(&[0], &[])
        .makes("out"),
    ]
}

/// Files whose rows are not at fault.
fn files() -> Vec<Row> {
    let file = |name: &str, text: Vec<u8>| {
        row(&format!("data: {name}"), "train-sft").put("sft.jsonl", text).refused(&["sft.jsonl"])
    };
    vec![
        file("empty", Vec::new()),
        file("empty lines", b"\n \n\t\n".to_vec()),
        file("an empty list", b"[]".to_vec()),
        file("a list without an end", format!("[{}", good()).into_bytes()),
        file("something after a list", format!("[{}] x", good()).into_bytes()),
        file("a list of lists", b"[[{}]]".to_vec()),
        file("UTF-16", good().encode_utf16().flat_map(u16::to_le_bytes).collect()),
        file(
            "UTF-16 with a byte order mark",
            [0xff, 0xfe].into_iter().chain(good().encode_utf16().flat_map(u16::to_le_bytes)).collect(),
        ),
        file("a table of commas", b"prompt,completion\na,b\n".to_vec()),
        file("a parquet file", b"PAR1\x15\x04\x15\x10PAR1".to_vec()),
        file("a page of HTML", b"<!DOCTYPE html>\n<html></html>\n".to_vec()),
        file("a zip file", b"PK\x03\x04\x14\0\0\0".to_vec()),
        file(
            "a pointer of Git LFS",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n".to_vec(),
        ),
    ]
}

/// What other programs read.
fn stages() -> Vec<Row> {
    let pairs = |name: &str, line: String, says: &[&str]| {
        row(&format!("pairs: {name}"), "train-dpo")
            .put("pairs.jsonl", line)
            .refused(&[&["pairs.jsonl:1"], says].concat())
    };
    let scored = |name: &str, line: &str| {
        row(&format!("answers: {name}"), "score").put("pairs.jsonl", line).refused(&["pairs.jsonl:1"])
    };
    vec![
        pairs("no rejected answer", "{\"prompt\": \"a\", \"chosen\": \"b\"}".to_owned(), &["rejected"]),
        pairs("an empty chosen answer", pair("a", "", "b"), &["chosen"]),
        pairs(
            "conversations that share no prompt",
            json!({
            "chosen": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "b" }],
            "rejected": [{ "role": "user", "content": "c" }, { "role": "assistant", "content": "d" }] })
            .to_string(),
            &[],
        ),
        pairs("transcripts without an assistant", json!({ "chosen": "a", "rejected": "b" }).to_string(), &[]),
        row_with("pairs: labels that are texts", "train-dpo", "--loss-type kto")
            .put("pairs.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\", \"label\": \"yes\"}")
            .refused(&["pairs.jsonl:1", "label"]),
        row_with("pairs: no gold answer", "train-dpo", "--loss-type tpo_sigmoid")
            .refused(&["pairs.jsonl:1", "reference"]),
        row("pairs: a margin that is text", "train-reward")
            .put(
                "pairs.jsonl",
                "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\", \"margin\": \"much\"}",
            )
            .refused(&["pairs.jsonl:1", "margin"]),
        row("pairs: a margin in one row of two", "train-reward")
            .put(
                "pairs.jsonl",
                format!(
                    "{}\n{}",
                    "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\", \"margin\": 1}",
                    pair("a", "b", "c")
                ),
            )
            .refused(&["pairs.jsonl", "margin"]),
        row("pairs: a list of one answer", "train-reward")
            .put("pairs.jsonl", "{\"prompt\": \"a\", \"completions\": [\"b\"]}")
            .refused(&["pairs.jsonl:1", "completions"]),
        scored("no answer", "{\"prompt\": \"a\"}"),
        scored("no rows but a broken one", "{"),
        scored("a list of nothing", "{\"prompt\": \"a\", \"completions\": []}"),
        scored("a list of numbers", "{\"prompt\": \"a\", \"completions\": [1]}"),
        scored("100,000 lists deep", &nested("[", "]", 100_000)),
        row_with("answers: a line without end", "score", "--dataset -").input("{\"prompt\":").refused(&["1"]),
        row_with("answers: nothing", "score", "--dataset -").refused(&["no rows"]),
        row_with("answers: not Unicode", "score", "--dataset -")
            .input(&b"{\"prompt\": \"\xff\"}\n"[..])
            .refused(&[]),
        row_with("answers: no right answer", "score", "--reward model exact_match").refused(&["answer"]),
        row_with("answers: an expression that is none", "score", "--reward format:(").refused(&["format"]),
        row_with(
            "answers: an expression above memory",
            "score",
            "--reward format:((((a{1000}){1000}){1000}){1000})",
        )
        .refused(&["format"]),
        row_with("answers: a range above 2^64", "score", "--reward length:1..99999999999999999999")
            .refused(&["length"]),
        row_with("answers: a weight that is none", "score", "--reward nan*model").refused(&["nan"]),
        row("prompts: empty lines", "generate").input("\n\n").accepted(),
        Row::new("prompts: not Unicode", "generate", "--model model").input(&b"\xff\xfe\n"[..]).refused(&[]),
        Row::new("prompts: an empty line", "generate", "--model model").input("Hi.\n\nHi.\n").refused(&["2"]),
        Row::new("prompts: more than the model has positions for", "generate", "--model model")
            .input("word ".repeat(100_000))
            .refused(&["1"]),
        Row::new("prompts: a zero byte", "generate", "--model model --max-new-tokens 2")
            .input("a\0b\n")
            .ends(&[0, 2], &[]),
        row_with("prompts: no column", "generate", "--prompts texts.jsonl --prompt-format raw").refused(&[]),
        row("prompts: in training by rewards", "train-ppo")
            .put("sft.jsonl", "{\"topic\": \"a\"}")
            .refused(&["sft.jsonl:1", "prompt"]),
        row_with("prompts: no right answers", "train-ppo", "--reward-funcs exact_match").refused(&["answer"]),
        row_with("prompts: a reward that there is not", "train-ppo", "--reward-funcs lenght:1..3")
            .refused(&["lenght"]),
        row_with("prompts: an expression that is none", "train-ppo", "--reward-funcs format:(")
            .refused(&["format"]),
    ]
}

/// What only looks hostile.
fn odd() -> Vec<Row> {
    let accepted = |name: &str, text: String| {
        row_with(&format!("data: {name}"), "train-sft", "--dry-run").put("sft.jsonl", text).accepted()
    };
    vec![
        accepted("a byte order mark and carriage returns", format!("\u{feff}{0}\r\n\r\n{0}\r\n", good())),
        accepted("a list over several lines", format!("[\n{0},\n{0}]", good())),
        accepted(
            "a column of 2^64 − 1",
            json!({ "prompt": "a", "completion": "b", "id": u64::MAX }).to_string(),
        ),
        accepted("invisible and turned letters", demonstration("\u{200b}\u{202e}", "\u{1f600}")),
        accepted("control characters", demonstration("\u{1b}[31m\u{7}", "\u{0}\u{9b}31m")),
        accepted("a line of 1 MB", demonstration("a", &"word ".repeat(200_000))),
        accepted("20,000 rows", format!("{}\n", good()).repeat(20_000)),
        row_with("data: shown, with control characters", "train-sft", "--inspect")
            .put("sft.jsonl", demonstration("\u{1b}[31m\u{7}", "\u{0}\u{9b}31m"))
            .accepted(),
        row_with("data: shown, with control characters", "train-dpo", "--inspect")
            .put("pairs.jsonl", pair("\u{1b}[31m\u{7}", "\u{0}\u{9b}31m", "\u{8}"))
            .accepted(),
        row("data: 300,000 beginnings", "train-sft")
            .put("sft.jsonl", demonstration(&"<s>".repeat(300_000), "a"))
            .ends(&[0, 2], &[])
            .makes("out"),
    ]
}
