//! What is read from files, and what each bad row is called.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod refused;

use std::io::Write as _;
use std::path::Path;

use align_data::{
    Dataset, DemonstrationBody, Message, PreferencePair, Text, has_split, load_demonstrations, load_pairs,
    load_prompts,
};
use proptest::prelude::*;
use tempfile::TempDir;

fn dir(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    dir
}

/// A pair whose prompt says where it came from.
fn row(prompt: &str) -> Vec<u8> {
    format!("{{\"prompt\":\"{prompt}\",\"chosen\":\"c\",\"rejected\":\"r\"}}\n").into_bytes()
}

fn prompts(path: &Path, split: &str) -> Vec<String> {
    let prompt = |pair: PreferencePair| match pair.prompt {
        Text::Plain(text) => text,
        Text::Messages(_) => panic!("plain prompts were written"),
    };
    load_pairs(path, split).unwrap().into_iter().map(prompt).collect()
}

#[test]
fn gzip_and_zstd_are_unpacked_whatever_their_name() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&row("packed")).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(
        row("packed").as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    let dir = dir(&[
        ("a.jsonl.gz", gzip.finish().unwrap().as_slice()),
        ("b.jsonl", &zstd),
        ("c.jsonl.zst", &[zstd.clone(), zstd.clone()].concat()),
    ]);
    assert_eq!(prompts(&dir.path().join("a.jsonl.gz"), "train"), ["packed"]);
    assert_eq!(prompts(&dir.path().join("b.jsonl"), "train"), ["packed"]);
    assert_eq!(prompts(&dir.path().join("c.jsonl.zst"), "train"), ["packed", "packed"]);
}

#[test]
fn a_split_is_its_file_its_shards_or_files_with_its_name_as_a_word() {
    let (a, b) = (row("a"), row("b"));
    let exact = dir(&[("train.jsonl", &a), ("train_prefs.jsonl", &b), ("README.md", b"-")]);
    assert_eq!(prompts(exact.path(), "train"), ["a"]);
    assert_eq!(prompts(exact.path(), "train_prefs"), ["b"]);
    let shards = dir(&[("data/train-00001-of-00002.json", &b), ("data/train-00000-of-00002.json", &a)]);
    assert_eq!(prompts(shards.path(), "train"), ["a", "b"]);
    let words = dir(&[("base.train.jsonl", &a), ("base.test.jsonl", &b)]);
    assert_eq!(prompts(words.path(), "test"), ["b"]);
    let folders = dir(&[("train/part.jsonl", &a), ("test/part.jsonl", &b)]);
    assert_eq!(prompts(folders.path(), "test"), ["b"]);
    assert!(has_split(words.path(), "test") && !has_split(words.path(), "validation"));
    assert!(!has_split(words.path().join("base.test.jsonl"), "test"));
}

#[test]
fn a_directory_without_the_split_lists_those_that_it_has() {
    let (row, complaint) = (row("a"), |dir: &TempDir| load_pairs(dir.path(), "dev").unwrap_err().to_string());
    let some = dir(&[("train.jsonl", &row), ("test.jsonl", &row)]);
    assert!(complaint(&some).ends_with(": no split `dev`; it has `train`, `test`"), "{}", complaint(&some));
    let none = dir(&[("image.png", b"-")]);
    assert!(complaint(&none).contains(": no split `dev`; it has no data files (read are .parquet, "));
    // Files without a split in their names are for training.
    let unnamed = dir(&[("rows.jsonl", &row)]);
    assert_eq!(prompts(unnamed.path(), "train"), ["a"]);
    assert!(!has_split(unnamed.path(), "test"));
}

#[test]
fn missing_and_empty_files_are_errors() {
    let dir = dir(&[("empty.jsonl", b"\n")]);
    assert!(
        load_pairs(dir.path().join("none.jsonl"), "train")
            .unwrap_err()
            .to_string()
            .starts_with("cannot read")
    );
    let error = load_pairs(dir.path().join("empty.jsonl"), "train").unwrap_err().to_string();
    assert!(error.ends_with("empty.jsonl holds no rows"), "{error}");
}

#[test]
fn demonstrations_take_the_shape_their_columns_have() {
    let rows = br#"[{"prompt":"p","completion":"c","messages":null,"extra":1},
        {"messages":[{"role":"user","content":"u"}],"prompt":null}, {"text":"t"}]"#;
    let dir = dir(&[("f.json", rows)]);
    let bodies: Vec<_> = load_demonstrations(dir.path().join("f.json"), "train")
        .unwrap()
        .into_iter()
        .map(|d| d.body)
        .collect();
    assert_eq!(
        bodies,
        [
            DemonstrationBody::PromptCompletion { prompt: "p".into(), completion: "c".into() },
            DemonstrationBody::Messages { messages: vec![Message::new("user", "u")] },
            DemonstrationBody::Text { text: "t".to_owned() },
        ]
    );
}

#[test]
fn a_plain_prompt_beside_whole_conversations_is_found_in_them() {
    let turns = |answer: &str| {
        format!(r#"[{{"role":"user","content":"p"}},{{"role":"assistant","content":"{answer}"}}]"#)
    };
    let row = format!(r#"{{"prompt":"p","chosen":{},"rejected":{}}}"#, turns("c"), turns("r"));
    let dir = dir(&[("f.jsonl", row.as_bytes())]);
    let pair = &load_pairs(dir.path().join("f.jsonl"), "train").unwrap()[0];
    assert_eq!(pair.prompt, vec![Message::new("user", "p")].into());
    assert_eq!(pair.rejected, vec![Message::new("assistant", "r")].into());
    let prompts = load_prompts(dir.path().join("f.jsonl"), "train").unwrap();
    assert_eq!(prompts[0].prompt, pair.prompt);
}

fn text() -> impl Strategy<Value = Text> {
    let message = ("(user|assistant|tool)", "\\PC{1,12}", proptest::option::of("[a-z]{1,5}"));
    let message = message.prop_map(|(role, content, name)| {
        let mut message = Message::new(role, content);
        message.extra.extend(name.map(|name| ("name".to_owned(), name.into())));
        message
    });
    prop_oneof![
        "[\\PC\n\t\"\\\\]{1,30}".prop_map(Text::Plain),
        proptest::collection::vec(message, 1..4).prop_map(Text::Messages),
    ]
}

proptest! {
    #[test]
    fn reading_what_was_written_gives_the_same_pairs(
        rows in proptest::collection::vec((text(), text(), text()), 1..6), as_array: bool,
    ) {
        let kind = |text: &Text| matches!(text, Text::Plain(_));
        let rows: Vec<_> = rows.into_iter().filter(|(p, c, r)| kind(p) == kind(c) && kind(c) == kind(r)).collect();
        prop_assume!(!rows.is_empty());
        let (mut prompts, mut chosen, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for (p, mut c, mut r) in rows {
            for answer in [&mut c, &mut r] {
                // An answer begins with the assistant's message; what follows it may be anyone's.
                if let Text::Messages(messages) = answer {
                    messages[0].role = "assistant".to_owned();
                }
            }
            prompts.push(p);
            chosen.push(c);
            rejected.push(r);
        }
        let pairs = PreferencePair::from_lists(prompts, chosen, rejected).unwrap();
        let written = if as_array {
            serde_json::to_string_pretty(&pairs).unwrap()
        } else {
            pairs.iter().map(|pair| serde_json::to_string(pair).unwrap() + "\n").collect()
        };
        let dir = dir(&[("f.jsonl", written.as_bytes())]);
        let mut read = load_pairs(dir.path().join("f.jsonl"), "train").unwrap().records;
        for (read, pair) in read.iter_mut().zip(&pairs) {
            read.origin = pair.origin.clone();
        }
        prop_assert_eq!(read, pairs);
    }
}

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sources").join(name)
}

#[test]
fn the_same_rows_in_any_format_are_the_same_records() {
    let pairs = |path: std::path::PathBuf, split: &str| {
        let texts = |pair: PreferencePair| (pair.prompt, pair.chosen, pair.rejected);
        load_pairs(path, split).unwrap().into_iter().map(texts).collect::<Vec<_>>()
    };
    let lines = pairs(fixture("pairs.jsonl"), "train");
    assert_eq!(lines.len(), 9);
    for same in ["pairs.parquet", "pairs.jsonl.gz", "pairs.*l"] {
        assert_eq!(pairs(fixture(same), "train"), lines, "{same}");
    }
    assert_eq!(pairs(fixture("pairs.parquet"), "train[2:4]"), lines[2..4]);
    assert_eq!(pairs(fixture("pairs.parquet"), "train[-50%:]"), lines[5..]);
    assert_eq!(pairs(fixture("pairs.jsonl"), "train[:-6]"), lines[..3]);
    assert_eq!(pairs(fixture("pairs.p*"), "train"), lines);
    let demonstrations = |name: &str| {
        let rows = load_demonstrations(fixture(name), "train").unwrap();
        rows.into_iter().map(|row| row.body).collect::<Vec<_>>()
    };
    for same in ["table.csv", "table.tsv"] {
        assert_eq!(demonstrations(same), demonstrations("table.jsonl"), "{same}");
    }
}

#[test]
fn a_row_in_error_is_named_by_its_number() {
    let error = load_demonstrations(fixture("pairs.parquet"), "train").unwrap_err().to_string();
    assert!(error.contains("pairs.parquet:1: `completion`: expected a column of this name"), "{error}");
}

#[test]
fn texts_are_a_row_per_line() {
    let dir = dir(&[("a.txt", b"\xef\xbb\xbfone\r\n\ntwo")]);
    let rows = load_demonstrations(dir.path(), "train").unwrap();
    let text = |text: &str| DemonstrationBody::Text { text: text.to_owned() };
    assert_eq!(rows.iter().map(|row| row.body.clone()).collect::<Vec<_>>(), [text("one"), text("two")]);
    assert!(rows[1].origin.to_string().ends_with("a.txt:3"));
}

#[test]
fn columns_of_tables_that_are_no_texts_are_read_out_of_them() {
    let rows = |label: &str| format!("prompt,completion,label\np,c,{label}\n").into_bytes();
    for (label, desirable) in [("True", true), ("0", false)] {
        let dir = dir(&[("train.csv", &rows(label))]);
        assert_eq!(align_data::load_unpaired(dir.path(), "train").unwrap()[0].label, desirable);
    }
    let dir = dir(&[("train.csv", &rows("yes"))]);
    let error = align_data::load_unpaired(dir.path(), "train").unwrap_err().to_string();
    assert!(error.contains("train.csv:2: `label`: expected `true` or `false`"), "{error}");
}

#[test]
fn a_card_says_which_files_a_config_has() {
    let card = b"---\nconfigs:\n- config_name: main\n  data_files:\n  - split: train_prefs\n    path: data/*\n- config_name: \
                 other\n  data_dir: more\n---\n# Data\n";
    let (a, b) = (row("a"), row("b"));
    let dir = dir(&[("README.md", card), ("data/0000.jsonl", &a), ("more/test/x.jsonl", &b)]);
    let dataset = |config: Option<&str>| Dataset::from(dir.path()).with_config(config.map(str::to_owned));
    let load = |config, split| load_pairs(dataset(config), split).map(|pairs| pairs.len());
    assert_eq!(load(Some("main"), "train_prefs").unwrap(), 1);
    assert_eq!(load(Some("other"), "test").unwrap(), 1);
    let error = |config, split| load(config, split).unwrap_err().to_string();
    assert!(error(Some("main"), "test").ends_with("no split `test`; it has `train_prefs`"));
    assert!(error(Some("none"), "test").ends_with("no config `none`; it has `main`, `other`"));
    assert!(
        error(None, "test")
            .contains("a config has to be named with --dataset-config; it has `main`, `other`")
    );
}

#[test]
fn patterns_and_parts_that_name_nothing_are_refused() {
    let dir = dir(&[("train.jsonl", &row("a")), ("book.xlsx", b"PK")]);
    let error = |name: &str, split: &str| load_pairs(dir.path().join(name), split).unwrap_err().to_string();
    assert!(error("*.csv", "train").contains("no file of this pattern; read are .parquet"));
    assert!(error("none/*.csv", "train").contains("no file of this pattern"));
    assert!(error("book.xlsx", "train").contains("Excel is not read"));
    assert!(error("train.jsonl", "train[").starts_with("split `train[`: expected a name"));
    assert!(error("train.jsonl", "train[5:]").ends_with("holds no rows"));
}
