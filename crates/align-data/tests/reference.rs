//! Gold answers beside preference pairs: read where they are asked for, tokenized after the same prompt.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use align_data::{
    DataOptions, Loaded, MaskStyle, Message, PreferencePair, Records, Result, Source, Text, TokenizeOptions,
    Tokenizer, TruncationMode, inspect_pair, load_pairs, load_pairs_with_reference, open_pairs,
    open_pairs_with_reference, prepare_pairs, tokenize_pairs,
};
use tempfile::TempDir;

const ROW: &str = r#"{"prompt":"Q:","chosen":" yes","rejected":" no","reference":" yes, it is dry"}"#;

fn file(lines: &[&str]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    (dir, path)
}

fn load(lines: &[&str]) -> Result<Loaded<PreferencePair>> {
    let (_dir, path) = file(lines);
    load_pairs_with_reference(path, "train")
}

fn tokenizer() -> Tokenizer {
    Tokenizer::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizer")).unwrap()
}

#[test]
fn the_column_is_read_only_when_asked_for() {
    let unrelated = r#"{"prompt":"p","chosen":"c","rejected":"r","reference":{"url":"u"}}"#;
    let (_dir, path) = file(&[unrelated]);
    assert_eq!(load_pairs(path, "train").unwrap()[0].reference, None);
    assert_eq!(load(&[ROW]).unwrap()[0].reference, Some(" yes, it is dry".into()));
}

#[test]
fn it_has_the_layout_of_the_chosen_answer() {
    let turns = r#"{"prompt":[{"role":"user","content":"u"}],"chosen":[{"role":"assistant","content":"c"}],
        "rejected":[{"role":"assistant","content":"r"}],"reference":[{"role":"assistant","content":"g"}]}"#;
    let transcripts = r#"{"chosen":"\n\nHuman: a\n\nAssistant: c","rejected":"\n\nHuman: a\n\nAssistant: r",
        "reference":"\n\nHuman: a\n\nAssistant: g"}"#;
    let conversation = |answer: &str| {
        format!(r#"[{{"role":"user","content":"u"}},{{"role":"assistant","content":"{answer}"}}]"#)
    };
    let conversations = format!(
        r#"{{"prompt":"u","chosen":{},"rejected":{},"reference":{}}}"#,
        conversation("c"),
        conversation("r"),
        conversation("g")
    );
    let reference = |row: &str| load(&[&row.replace('\n', "")]).unwrap().records.remove(0).reference.unwrap();
    let gold = Text::from(vec![Message::new("assistant", "g")]);
    assert_eq!(reference(turns), gold);
    assert_eq!(reference(&conversations), gold);
    assert_eq!(reference(transcripts), Text::from(" g"));
}

#[test]
fn bad_gold_answers_are_named_by_line_and_column() {
    let check = |row: &str, expected: &str| {
        let error = load(&[ROW, row]).unwrap_err().to_string();
        assert_eq!(error.rsplit_once("f.jsonl:").unwrap().1, expected);
    };
    check(
        r#"{"prompt":"p","chosen":"c","rejected":"r"}"#,
        "2: `reference`: expected a column of this name, found only `prompt`, `chosen`, `rejected`",
    );
    check(
        r#"{"prompt":"p","chosen":"c","rejected":"r","reference":""}"#,
        "2: `reference`: expected text, found nothing: it is empty; correct or remove the row",
    );
    check(
        r#"{"prompt":"p","chosen":"c","rejected":"r","reference":[{"role":"assistant","content":"g"}]}"#,
        "2: `reference`: expected a string, as in `chosen`, found a list of messages",
    );
    let transcript = |reference: &str| {
        format!(
            r#"{{"chosen":"\n\nHuman: a\n\nAssistant: c","rejected":"\n\nHuman: a\n\nAssistant: r",
            "reference":"{reference}"}}"#
        )
        .replace('\n', "")
    };
    for reference in [" g", r"\n\nHuman: a\n\nAssistant:", r"\n\nHuman: b\n\nAssistant: g"] {
        check(
            &transcript(reference),
            "2: `reference`: expected a transcript that begins as `chosen` and `rejected` do and goes on with an \
             answer, found another one",
        );
    }
    let turn = |role: &str| format!(r#"[{{"role":"{role}","content":"x"}}]"#);
    let (user, assistant) = (turn("user"), turn("assistant"));
    check(
        &format!(r#"{{"prompt":{user},"chosen":{assistant},"rejected":{assistant},"reference":{user}}}"#),
        "2: `reference`: expected an answer that begins with a message of role `assistant`, found `user`",
    );
}

#[test]
fn all_three_answers_follow_a_prompt_cut_for_the_longest() {
    let pairs = load(&[&ROW.replace("Q:", "How do I keep it dry? Q:")]).unwrap();
    let whole = tokenize_pairs(&pairs, &tokenizer(), &TokenizeOptions::default()).unwrap().0.remove(0);
    let gold = whole.reference.clone().unwrap();
    assert_eq!(tokenizer().decode(&gold, false).unwrap(), " yes, it is dry</s>");
    assert_eq!(
        whole.token_count(),
        whole.prompt.len() + whole.chosen.len() + whole.rejected.len() + gold.len()
    );

    let max_length = whole.prompt.len() + whole.chosen.len().max(whole.rejected.len());
    assert!(gold.len() > max_length - whole.prompt.len());
    let keep_end = TokenizeOptions {
        max_length: Some(max_length),
        truncation_mode: TruncationMode::KeepEnd,
        ..TokenizeOptions::default()
    };
    let (cut, report) = tokenize_pairs(&pairs, &tokenizer(), &keep_end).unwrap();
    assert_eq!(cut[0].prompt.len(), max_length - gold.len());
    assert_eq!((cut[0].reference.as_ref(), report.truncated, report.completions), (Some(&gold), 1, 3));

    let keep_start = TokenizeOptions { truncation_mode: TruncationMode::KeepStart, ..keep_end };
    let (cut, report) = tokenize_pairs(&pairs, &tokenizer(), &keep_start).unwrap();
    assert_eq!(cut[0].reference.as_deref(), Some(&gold[..max_length - whole.prompt.len()]));
    assert_eq!((&cut[0].chosen, report.complete_completions), (&whole.chosen, 2));
}

#[test]
fn a_runs_data_has_it_in_its_fingerprint_and_its_longest_row() {
    let options = DataOptions { dataset_name: Some("given as a path".to_owned()), ..DataOptions::default() };
    let (config, tokenizer) = (options.check().unwrap(), tokenizer());
    let prepare = |row: &str| {
        let (_dir, path) = file(&[row]);
        let records = Records {
            train: open_pairs_with_reference(&path, "train").unwrap(),
            held_out: Source::default(),
        };
        prepare_pairs(&records, &tokenizer, &config.tokenize).unwrap()
    };
    let (one, same, other) = (prepare(ROW), prepare(ROW), prepare(&ROW.replace("dry", "wet")));
    assert_eq!(one.fingerprint, same.fingerprint);
    assert_ne!(one.fingerprint, other.fingerprint);
    let row = one.train.get(0).unwrap();
    assert_eq!(one.longest, row.prompt.len() + row.reference.as_ref().unwrap().len());

    let (_dir, path) = file(&[ROW]);
    let records = Records { train: open_pairs(&path, "train").unwrap(), held_out: Source::default() };
    let without = prepare_pairs(&records, &tokenizer, &config.tokenize).unwrap();
    assert_eq!(without.train.get(0).unwrap().reference, None);
    assert_ne!(without.fingerprint, one.fingerprint);
}

#[test]
fn it_is_shown_after_the_two_answers() {
    let pairs = load(&[ROW]).unwrap();
    let (pairs, _) = tokenize_pairs(&pairs, &tokenizer(), &TokenizeOptions::default()).unwrap();
    let shown = inspect_pair(&pairs[0], &tokenizer(), MaskStyle::Brackets).unwrap();
    let (_, sections) = shown.split_once('\n').unwrap();
    assert_eq!(
        sections,
        "       prompt (3) │ <s>Q:\n       chosen (5) │ ⟦ yes</s>⟧\n     rejected (4) │ ⟦ no</s>⟧\n   \
         reference (10) │ ⟦ yes, it is dry</s>⟧\n"
    );
}
