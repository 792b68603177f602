//! A run's records: where held-out rows come from, and what identifies the training rows.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};

use align_data::{
    DataConfig, DataOptions, Dataset, Prepared, Records, TokenizedPair, Tokenizer, UnpairedChecks,
    open_pairs, open_unpaired, prepare_pairs, prepare_unpaired,
};

const PAIR: &str = r#"{"prompt": "Name a colour.", "chosen": " Blue is one.", "rejected": " No."}"#;
const OTHER: &str = r#"{"prompt": "Name a number.", "chosen": " Seven is one.", "rejected": " No."}"#;

fn config(change: impl Fn(&mut DataOptions)) -> DataConfig {
    let mut options =
        DataOptions { dataset_name: Some("given as a path".to_owned()), ..DataOptions::default() };
    change(&mut options);
    options.check().unwrap()
}

fn prepare(
    data: &Path,
    eval: Option<&Path>,
    config: &DataConfig,
) -> align_data::Result<Prepared<TokenizedPair>> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/runs/model");
    let (data, eval) = (Dataset::from(data), eval.map(Dataset::from));
    let open = |dataset: &Dataset, split: &str| open_pairs(dataset, split);
    let records = Records::open(&[data], eval.as_ref(), config, open)?;
    prepare_pairs(&records, &Tokenizer::load(model).unwrap(), &config.tokenize)
}

fn file(dir: &Path, name: &str, lines: &[&str]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

#[test]
fn held_out_rows_come_from_the_test_split_or_the_evaluation_data() {
    let dir = tempfile::tempdir().unwrap();
    let train = file(dir.path(), "train.jsonl", &[PAIR, OTHER]);
    assert!(prepare(&train, None, &config(|_| ())).unwrap().held_out.is_empty());
    assert!(prepare(dir.path(), None, &config(|_| ())).unwrap().held_out.is_empty());

    let test = file(dir.path(), "test.jsonl", &[OTHER]);
    let from_split = prepare(dir.path(), None, &config(|_| ())).unwrap();
    assert_eq!((from_split.train.len(), from_split.held_out.len()), (2, 1));
    assert_eq!(from_split.findings.checks.evaluation.unwrap().rows_in_training, 1);
    assert_eq!(prepare(&train, Some(&test), &config(|_| ())).unwrap().held_out, from_split.held_out);
}

#[test]
fn the_fingerprint_is_that_of_the_token_ids_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let fingerprint = |name: &str, lines: &[&str], config: &DataConfig| {
        prepare(&file(dir.path(), name, lines), None, config).unwrap().fingerprint
    };
    let as_it_is = config(|_| ());
    let first = fingerprint("a.jsonl", &[PAIR, OTHER], &as_it_is);
    assert_eq!(fingerprint("b.jsonl", &[PAIR, OTHER], &as_it_is), first);
    assert_ne!(fingerprint("c.jsonl", &[OTHER, PAIR], &as_it_is), first);
    assert_ne!(fingerprint("d.jsonl", &[PAIR], &as_it_is), first);
    let shorter = config(|options| options.max_completion_length = Some(2));
    assert_ne!(fingerprint("e.jsonl", &[PAIR, OTHER], &shorter), first);
}

#[test]
fn a_split_of_a_single_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let train = file(dir.path(), "pairs.jsonl", &[PAIR]);
    let error =
        prepare(&train, None, &config(|options| options.dataset_train_split = "validation".to_owned()));
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("dataset_train_split: has no effect on "), "{error}");
    let error =
        prepare(&train, Some(&train), &config(|options| options.dataset_test_split = "dev".to_owned()));
    assert!(error.unwrap_err().to_string().starts_with("dataset_test_split: has no effect on "));
}

#[test]
fn labelled_answers_are_identified_by_their_labels_too() {
    let dir = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/runs/model");
    let tokenizer = Tokenizer::load(model).unwrap();
    let prepare = |name: &str, lines: &[&str]| {
        let train = file(dir.path(), name, lines);
        let config = config(|_| ());
        let train = Dataset::from(train);
        let open = |dataset: &Dataset, split: &str| open_unpaired(dataset, split);
        let records = Records::open(std::slice::from_ref(&train), Some(&train), &config, open).unwrap();
        prepare_unpaired(&records, &tokenizer, &config.tokenize).unwrap()
    };
    let liked = r#"{"prompt": "Name a colour.", "completion": " Blue is one.", "label": true}"#;
    let disliked = liked.replace("true", "false");
    let one = prepare("a.jsonl", &[liked]);
    assert_ne!(one.fingerprint, prepare("b.jsonl", &[&disliked]).fingerprint);
    assert_eq!(one.fingerprint, prepare("c.jsonl", &[liked]).fingerprint);
    assert_eq!((one.longest, one.held_out.len()), (one.train.lengths()[0], 1));
    assert_eq!(one.findings.checks.evaluation.unwrap().rows_in_training, 1);

    let pairs = prepare("d.jsonl", &[PAIR, OTHER]);
    let labels: Vec<_> = pairs.train.iter().map(|row| row.unwrap().desirable).collect();
    assert_eq!(labels, [true, true, false, false]);
    let expected = UnpairedChecks { desirable: 2, undesirable: 2, labelled_both_ways: 0 };
    assert_eq!(pairs.findings.checks.unpaired, Some(expected));
}
