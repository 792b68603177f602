//! What `--inspect` shows.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use align_data::{
    LearnedPart, MaskStyle, TokenizeOptions, Tokenizer, inspect_completion, inspect_example, inspect_pair,
    load_demonstrations, load_pairs, load_unpaired, tokenize_demonstrations, tokenize_pairs,
    tokenize_unpaired,
};

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The shown text without the directory this checkout happens to be in.
fn shown(text: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/");
    text.replace(dir.to_str().unwrap(), "").replace('\x1b', "␛")
}

fn pair(name: &str, row: usize, style: MaskStyle) -> String {
    let tokenizer = Tokenizer::load(fixture("tokenizer")).unwrap();
    let pairs = load_pairs(fixture(name), "train").unwrap();
    let (pairs, _) = tokenize_pairs(&pairs, &tokenizer, &TokenizeOptions::default()).unwrap();
    shown(&inspect_pair(&pairs[row], &tokenizer, style).unwrap())
}

fn example(name: &str, row: usize) -> String {
    let tokenizer = Tokenizer::load(fixture("tokenizer")).unwrap();
    let rows = load_demonstrations(fixture(name), "train").unwrap();
    let (rows, _) =
        tokenize_demonstrations(&rows, &tokenizer, &TokenizeOptions::default(), &LearnedPart::default())
            .unwrap();
    shown(&inspect_example(&rows[row], &tokenizer, MaskStyle::Brackets).unwrap())
}

#[test]
fn a_plain_pair() {
    insta::assert_snapshot!(pair("trl/pairs.jsonl", 0, MaskStyle::Brackets));
}

#[test]
fn a_plain_pair_on_a_terminal() {
    insta::assert_snapshot!(pair("trl/pairs.jsonl", 0, MaskStyle::Ansi));
}

#[test]
fn a_conversational_pair() {
    insta::assert_snapshot!(pair("trl/pairs_conversational.jsonl", 1, MaskStyle::Brackets));
}

#[test]
fn a_prompt_with_its_completion() {
    insta::assert_snapshot!(example("trl/prompt_completion.jsonl", 0));
}

#[test]
fn a_whole_conversation() {
    insta::assert_snapshot!(example("trl/messages.jsonl", 0));
}

#[test]
fn labelled_answers_say_which_they_are() {
    let tokenizer = Tokenizer::load(fixture("tokenizer")).unwrap();
    let rows = load_unpaired(fixture("trl/unpaired_conversational.jsonl"), "train").unwrap();
    let (rows, _) = tokenize_unpaired(&rows, &tokenizer, &TokenizeOptions::default()).unwrap();
    let show = |row| shown(&inspect_completion(row, &tokenizer, MaskStyle::Brackets).unwrap());
    insta::assert_snapshot!(rows.iter().map(show).collect::<String>());
}

#[test]
fn what_a_row_says_commands_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pairs.jsonl");
    let row = r#"{"prompt": "a\u001b[2Jb", "chosen": " c\u009b2J", "rejected": " d\u202ee\u0007"}"#;
    std::fs::write(&path, row).unwrap();
    let tokenizer = Tokenizer::load(fixture("tokenizer")).unwrap();
    let pairs = load_pairs(path.to_str().unwrap(), "train").unwrap();
    let (pairs, _) = tokenize_pairs(&pairs, &tokenizer, &TokenizeOptions::default()).unwrap();
    let plain = inspect_pair(&pairs[0], &tokenizer, MaskStyle::Brackets).unwrap();
    for text in ["a\\u{1b}[2Jb", "c\\u{9b}2J", "d\\u{202e}e\\u{7}"] {
        assert!(plain.contains(text), "{text} is missing in {plain}");
    }
    let coloured = inspect_pair(&pairs[0], &tokenizer, MaskStyle::Ansi).unwrap();
    let own = coloured
        .replace("\x1b[32m", "")
        .replace("\x1b[7;32m", "")
        .replace("\x1b[2m", "")
        .replace("\x1b[0m", "");
    assert!(!own.contains('\x1b') && !own.contains('\u{9b}'), "{own:?}");
}
