//! Ranked answers and candidates: what rows mean, and which are refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use align_data::{
    DataOptions, MaskStyle, Ranking, Records, Source, Text, Tokenizer, inspect_ranking, load_candidates,
    load_rankings, prepare_rankings,
};
use serde_json::{Value, json};

fn tokenizer() -> Tokenizer {
    Tokenizer::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/tokenizer")).unwrap()
}

fn file(rows: &[Value]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    (dir, path)
}

fn rankings(rows: &[Value]) -> align_data::Loaded<Ranking> {
    load_rankings(file(rows).1.as_path(), "train", "source").unwrap_or_default()
}

fn read(rows: &[Value]) -> Result<align_data::Loaded<Ranking>, String> {
    let (_dir, path) = file(rows);
    load_rankings(&path, "train", "source").map_err(|error| error.to_string())
}

fn complaint(rows: &[Value]) -> String {
    read(rows).unwrap_err()
}

#[test]
fn a_pair_is_a_ranking_of_two_and_a_list_has_the_best_first() {
    let rows = [
        json!({ "prompt": "p", "chosen": "a", "rejected": "b", "source": "web" }),
        json!({ "prompt": "p", "completions": ["x", "y", "z"], "source": 7 }),
    ];
    let rows = read(&rows).unwrap();
    let texts = |row: &Ranking| row.answers.completions.clone();
    assert_eq!(texts(&rows[0]), [Text::from("a"), Text::from("b")]);
    assert_eq!(texts(&rows[1]), [Text::from("x"), Text::from("y"), Text::from("z")]);
    assert_eq!((rows[0].source.as_deref(), rows[1].source.as_deref()), (Some("web"), Some("7")));
    let turn = |text: &str| json!([{ "role": "assistant", "content": text }]);
    let talk =
        json!({ "prompt": [{ "role": "user", "content": "p" }], "completions": [turn("a"), turn("b")] });
    assert_eq!(read(&[talk]).unwrap()[0].answers.completions.len(), 2);
    assert!(rankings(&[json!({})]).is_empty());
}

#[test]
fn a_margin_is_a_number_that_all_rows_have_or_none() {
    let row = |margin: Value| json!({ "prompt": "p", "chosen": "a", "rejected": "b", "margin": margin });
    assert_eq!(read(&[row(json!(0.5)), row(json!(2))]).unwrap()[1].margin, Some(2.0));
    assert_eq!(read(&[row(Value::Null)]).unwrap()[0].margin, None);
    let says = |rows: &[Value], fragment: &str| {
        let found = complaint(rows);
        assert!(found.contains("rows.jsonl:") && found.contains(fragment), "{found}");
    };
    says(&[row(json!("much"))], "`margin`: expected a number, found the string `much`");
    says(&[row(json!("NaN"))], "`margin`: expected a number, found the string `NaN`");
    says(&[row(json!(1.0)), row(Value::Null)], ":2: `margin`: expected a number, as in ");
    says(&[row(Value::Null), row(json!(1.0))], ":2: `margin`: expected nothing, as in ");
    says(
        &[json!({ "prompt": "p", "completions": ["a", "b", "c"], "margin": 1 })],
        "`margin`: expected no margin beside a list of more than two answers, found 1 for 3 answers",
    );
    let (_dir, path) = file(&[]);
    std::fs::write(&path, "{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\", \"margin\": NaN}\n")
        .unwrap();
    let found = load_rankings(&path, "train", "source").unwrap_err().to_string();
    assert!(found.contains("rows.jsonl:1: ") && found.contains("`NaN` is no JSON"), "{found}");
}

#[test]
fn a_list_that_ranks_nothing_is_refused() {
    let says = |row: Value, fragment: &str| {
        let found = complaint(&[row]);
        assert!(found.contains("rows.jsonl:1: ") && found.contains(fragment), "{found}");
    };
    says(json!({ "prompt": "p", "completions": ["a"] }), "found a list of 1, which ranks nothing");
    says(json!({ "prompt": "p", "completions": [] }), "expected at least one answer, found an empty list");
    says(json!({ "prompt": "p", "completions": "a" }), "expected a list of answers, found the string `a`");
    says(json!({ "prompt": "p", "completions": ["a", ""] }), "`completions[1]`: expected text");
    says(json!({ "prompt": "p", "completions": ["a", 5] }), "`completions[1]`: expected a string or a list");
    says(json!({ "prompt": [], "completions": ["a", "b"] }), "`prompt`");
    let mixed = json!({ "prompt": "p", "completions": ["a", [{ "role": "assistant", "content": "b" }]] });
    says(mixed, "`completions[1]`: expected a string, as in `completions[0]`, found a list of messages");
}

#[test]
fn candidates_are_one_answer_or_several() {
    let rows = [
        json!({ "prompt": "p", "completion": "a" }),
        json!({ "prompt": "p", "completions": ["a"] }),
        json!({ "prompt": "p", "chosen": "a", "rejected": "b" }),
    ];
    let (_dir, path) = file(&rows);
    let counts: Vec<_> =
        load_candidates(&path, "train").unwrap().iter().map(|row| row.completions.len()).collect();
    assert_eq!(counts, [1, 1, 2]);
    let (_dir, path) = file(&[json!({ "prompt": "p", "answer": "a" })]);
    let found = load_candidates(&path, "train").unwrap_err().to_string();
    assert!(found.contains("`completion`, or `completions`, or `chosen` and `rejected`"), "{found}");
}

#[test]
fn a_run_reads_them_cut_alike_and_hashes_their_margins() {
    let row = |margin: f64| json!({ "prompt": "Hello.", "chosen": " Good day.", "rejected": " No.", "margin": margin });
    let prepared = |margin: f64| {
        let (_dir, path) = file(&[row(margin)]);
        let options = DataOptions { dataset_name: Some("rows".to_owned()), ..DataOptions::default() };
        let records = Records {
            train: load_rankings(&path, "train", "source").unwrap().into(),
            held_out: Source::default(),
        };
        prepare_rankings(&records, &tokenizer(), &options.check().unwrap().tokenize).unwrap()
    };
    let data = prepared(1.0);
    let shown =
        inspect_ranking(data.train.get(0).unwrap().as_ref(), &tokenizer(), MaskStyle::Brackets).unwrap();
    for fragment in ["Hello.", "chosen (", "⟦ Good day.</s>⟧", "rejected (", "margin │ 1"] {
        assert!(shown.contains(fragment), "{shown}");
    }
    assert_eq!(data.findings.checks.pairs.as_ref().unwrap().chosen_longer, 1.0);
    assert_ne!(data.fingerprint, prepared(2.0).fingerprint);
    assert_eq!(data.fingerprint, prepared(1.0).fingerprint);
}

#[test]
fn the_token_to_pad_with_ends_no_answer() {
    let tokenizer = tokenizer();
    let (pad, eos) = (tokenizer.pad().unwrap(), tokenizer.eos_id().unwrap());
    assert_eq!(&tokenizer.pad_beside(&[eos]).unwrap(), pad);
    let other = tokenizer.pad_beside(&[eos, pad.id]).unwrap();
    assert!(tokenizer.is_special(other.id) && other.id != eos && other.id != pad.id);
    let all: Vec<u32> = (0..tokenizer.vocab_size() as u32).collect();
    assert!(tokenizer.pad_beside(&all).unwrap_err().to_string().contains("no special token beside"));
}
