//! Layouts, as `datasets` 5.2 resolves them: `tests/fixtures/sources/layouts.py` prints the same cases. What is other is meant:
//! a file named exactly after a split is that split without others that have its word, and texts are never preferred.

use super::*;

fn layout(files: &[&str], card: Option<&str>, config: Option<&str>) -> Result<Layout, LayoutError> {
    let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
    Layout::new(&files, card, config)
}

/// The splits and their files as text.
fn shown(files: &[&str], card: Option<&str>, config: Option<&str>) -> String {
    let splits = layout(files, card, config).unwrap().splits;
    let split = |(split, files): (String, Vec<String>)| format!("{split}={}", files.join(","));
    splits.into_iter().map(split).collect::<Vec<_>>().join(" ")
}

#[test]
fn names_of_files_say_their_split() {
    let check = |files: &[&str], expected: &str| assert_eq!(shown(files, None, None), expected);
    check(&["README.md", "dataset.csv"], "train=dataset.csv");
    check(&["train.csv", "data/test.csv"], "train=train.csv test=data/test.csv");
    check(&["train_1.csv", "train_0.csv", "eval.csv"], "train=train_0.csv,train_1.csv test=eval.csv");
    check(
        &["data/train/b.csv", "data/train/a.csv", "data/dev/a.csv"],
        "train=data/train/a.csv,data/train/b.csv validation=data/dev/a.csv",
    );
    check(
        &[
            "data/test-00000-of-00001.parquet",
            "data/train_prefs-00001-of-00002-abc.parquet",
            "data/train_prefs-00000-of-00002.parquet",
            "notes.json",
        ],
        "test=data/test-00000-of-00001.parquet \
         train_prefs=data/train_prefs-00000-of-00002.parquet,data/train_prefs-00001-of-00002-abc.parquet",
    );
    check(
        &["a/train.jsonl.gz", "b/train.jsonl.gz", "c/attempts.jsonl.gz"],
        "train=a/train.jsonl.gz,b/train.jsonl.gz",
    );
    check(&["constraint.csv"], "train=constraint.csv");
    check(&[".git/train.csv", "__pycache__/train.csv", "dataset_infos.json", "a.jsonl"], "train=a.jsonl");
    check(&["train.jsonl", "train_prefs.jsonl"], "train=train.jsonl");
    check(&["a.jsonl", "b.parquet", "c.txt", "d.txt", "e.txt"], "train=b.parquet");
    check(&["a.txt", "b.txt.gz"], "train=a.txt,b.txt.gz");
    check(&["a.csv", "b.tsv", "c.jsonl"], "train=c.jsonl");
    check(&["a.csv", "b.csv", "b.tsv", "c.jsonl"], "train=a.csv,b.csv,b.tsv");
    check(&["image.png"], "");
}

#[test]
fn files_that_only_we_know_a_split_of_are_found() {
    let layout =
        layout(&["train.jsonl", "train_prefs.jsonl", "x.gen.jsonl", "extra/a.jsonl"], None, None).unwrap();
    let check = |split: &str, expected: &[&str]| assert_eq!(layout.files(split).unwrap(), expected);
    check("train", &["train.jsonl"]);
    check("train_prefs", &["train_prefs.jsonl"]);
    check("gen", &["x.gen.jsonl"]);
    check("extra", &["extra/a.jsonl"]);
    assert_eq!(layout.files("dev").unwrap_err().to_string(), "no split `dev`; it has `train`");
}

const CARD: &str = "---\nlicense: mit\nconfigs:\n- config_name: main\n  default: true\n  data_files:\n  - split: train_prefs\n    \
    path: data/train_prefs-*\n  - split: test\n    path:\n    - data/test-*\n    - more/**\n- config_name: socratic\n  \
    data_dir: socratic\n- config_name: one\n  data_files: '*.csv'\n- config_name: two\n  data_files: [a.csv, b/*.csv]\n  \
    data_dir: ./deep/\n---\n# Data\n";
const FILES: [&str; 8] = [
    "README.md",
    "data/train_prefs-00000-of-00001.parquet",
    "data/test-00000-of-00001.parquet",
    "more/x/y.parquet",
    "socratic/train.jsonl",
    "a.csv",
    "deep/a.csv",
    "deep/b/c.csv",
];

#[test]
fn a_card_says_configs_and_splits() {
    let check =
        |config: Option<&str>, expected: &str| assert_eq!(shown(&FILES, Some(CARD), config), expected);
    let main = "train_prefs=data/train_prefs-00000-of-00001.parquet test=data/test-00000-of-00001.parquet,more/x/y.parquet";
    check(None, main);
    check(Some("main"), main);
    check(Some("socratic"), "train=socratic/train.jsonl");
    check(Some("one"), "train=a.csv");
    check(Some("two"), "train=deep/a.csv,deep/b/c.csv");
    let error = |card: &str, config| layout(&FILES, Some(card), config).unwrap_err().to_string();
    assert_eq!(error(CARD, Some("x")), "no config `x`; it has `main`, `socratic`, `one`, `two`");
    let without = CARD.replace("  default: true\n", "");
    assert!(
        error(&without, None).starts_with("a config has to be named with --dataset-config; it has `main`")
    );
    assert_eq!(error("# no card", Some("x")), "no config `x`; it has no configs: leave out --dataset-config");
    let several = without.replace("config_name: one", "config_name: default");
    assert_eq!(shown(&FILES, Some(&several), None), "train=a.csv");
    let windows = CARD.replace('\n', "\r\n");
    assert_eq!(shown(&FILES, Some(&windows), None), main);
}

#[test]
fn a_card_that_says_nothing_sensible_is_refused() {
    let check = |configs: &str, expected: &str| {
        let card = format!("---\nconfigs: {configs}\n---\n");
        let error = layout(&FILES, Some(&card), None).unwrap_err().to_string();
        assert!(error.starts_with("README.md: ") && error.contains(expected), "{error}");
    };
    check("5", "`configs` is no list");
    check("[5]", "a config is no object");
    check("[{data_files: a}]", "without `config_name`");
    check("[{config_name: a, data_files: {train: x}}]", "`data_files` of the config `a`: expected");
    check("[{config_name: a, data_files: [{split: x, path: y}, {split: x, path: z}]}]", "no split twice");
    check("[", "line ");
}

#[test]
fn what_save_to_disk_writes_is_known() {
    let one = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow", "cache-1.arrow", "state.json"];
    assert_eq!(shown(&one, None, None), "train=data-00000-of-00002.arrow,data-00001-of-00002.arrow");
    let dict = [
        "dataset_dict.json",
        "test_x/state.json",
        "test_x/data-00000-of-00001.arrow",
        "test_x/cache-a.arrow",
    ];
    assert_eq!(shown(&dict, None, None), "test_x=test_x/data-00000-of-00001.arrow");
}

#[test]
fn what_the_hub_converts_is_known() {
    let files = [
        "default/train/0000.parquet",
        "default/train/0001.parquet",
        "other/partial-test/0000.parquet",
        "x.md",
    ];
    let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
    let layout = Layout::converted(&files, None).unwrap();
    assert_eq!(layout.files("train").unwrap(), files[..2]);
    assert_eq!(Layout::converted(&files, Some("other")).unwrap().files("test").unwrap(), files[2..3]);
    assert!(
        Layout::converted(&files, Some("x")).unwrap_err().to_string().ends_with("it has `default`, `other`")
    );
    assert!(Layout::converted(&files[1..], None).is_ok());
    assert!(Layout::converted(&[], None).unwrap().files("train").is_err());
}
