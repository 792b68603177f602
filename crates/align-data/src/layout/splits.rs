//! Splits by the names of files, where no card says them: the rules of `datasets`.

use super::pattern::Pattern;
use crate::formats::Format;

/// Files by split.
pub(super) type Splits = Vec<(String, Vec<String>)>;

/// Words for a split in names of folders and files.
const KEYWORDS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "dev", "val"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];
const IN_FOLDERS: [&str; 4] =
    ["**/{}/**", "**/{}[-._ 0-9]*/**", "**/*[-._ 0-9]{}/**", "**/*[-._ 0-9]{}[-._ 0-9]*/**"];
const IN_FILES: [&str; 2] = ["**/{}[-._ 0-9]*", "**/*[-._ 0-9]{}[-._ 0-9]*"];

/// Files that describe a data set and hold no rows.
const DESCRIPTIONS: [&str; 6] = [
    "README.md",
    "config.json",
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
];

/// The splits of a directory with these files: shards in `data/`; else files in folders, else files, whose names have a
/// word for one; else all files are for training.
pub(super) fn by_names(files: &[String]) -> Splits {
    let rules =
        [saved(files), sharded(files), by_words(files, &IN_FOLDERS), exact(by_words(files, &IN_FILES))];
    let found = rules.into_iter().find(|splits| !splits.is_empty());
    found.unwrap_or_else(|| one("train", matching(files, "**")))
}

/// Files that match a pattern, in the order of their names.
pub(super) fn matching(files: &[String], pattern: &str) -> Vec<String> {
    let pattern = Pattern::new(pattern);
    let is_meant = |path: &str| {
        let name = file_name(path);
        Format::of(name).is_some()
            && (!DESCRIPTIONS.contains(&name) || pattern.ends_with(name))
            && pattern.matches(path)
    };
    let mut files: Vec<String> = files.iter().filter(|path| is_meant(path)).cloned().collect();
    files.sort();
    files
}

/// `train` for `train-00000-of-00002`, `train_1` and `train`.
pub(super) fn without_shard(stem: &str) -> &str {
    let is_shard = |c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let base = stem.trim_end_matches(is_shard);
    base.strip_suffix("-of").map_or(base, |base| base.trim_end_matches(is_shard))
}

/// The name of a file without folders.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What `save_to_disk` wrote: tables, in a folder per split if there are splits.
fn saved(files: &[String]) -> Splits {
    let is = |wanted: &str| files.iter().any(|file| file == wanted);
    if is("state.json") {
        return one("train", matching(files, "data-*.arrow"));
    }
    if !is("dataset_dict.json") {
        return Vec::new();
    }
    let folders = files.iter().filter_map(|file| file.strip_suffix("/state.json"));
    let split = |folder: &str| (folder.to_owned(), matching(files, &format!("{folder}/data-*.arrow")));
    folders.map(split).filter(|(_, files)| !files.is_empty()).collect()
}

/// `data/train_prefs-00000-of-00002.parquet` and the like, whose names say any split.
fn sharded(files: &[String]) -> Splits {
    let digits = "[0-9]".repeat(5);
    let mut splits = Splits::new();
    for path in matching(files, &format!("data/*-{digits}-of-{digits}*.*")) {
        let name = file_name(&path);
        // The number of the shard stands before it, five digits behind a dash.
        let before = name.rmatch_indices("-of-").find_map(|(at, _)| {
            let (split, number) = name[..at].rsplit_once('-')?;
            (number.len() == 5 && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(split)
        });
        let Some(split) = before else { continue };
        let split = split.to_owned();
        add(&mut splits, &split, path);
    }
    splits
}

/// Adds a file to those of its split.
pub(super) fn add(splits: &mut Splits, split: &str, file: String) {
    match splits.iter_mut().find(|(known, _)| known == split) {
        Some((_, files)) => files.push(file),
        None => splits.push((split.to_owned(), vec![file])),
    }
}

fn by_words(files: &[String], patterns: &[&str]) -> Splits {
    let split = |(split, words): &(&str, &[&str])| {
        let mut found: Vec<String> = Vec::new();
        for pattern in words.iter().flat_map(|word| patterns.iter().map(|it| it.replace("{}", word))) {
            let new: Vec<_> =
                matching(files, &pattern).into_iter().filter(|file| !found.contains(file)).collect();
            found.extend(new);
        }
        ((*split).to_owned(), found)
    };
    KEYWORDS.iter().map(split).filter(|(_, files)| !files.is_empty()).collect()
}

/// Where files are named after a split and nothing else, others with its word (`train_prefs.jsonl`) are not in it. Here
/// `datasets` would mix what nobody meant to be mixed.
fn exact(splits: Splits) -> Splits {
    let narrowed = |(split, files): (String, Vec<String>)| {
        let is_exact = |path: &&String| {
            Format::of(file_name(path)).is_some_and(|(_, stem)| without_shard(stem) == split)
        };
        let exact: Vec<String> = files.iter().filter(is_exact).cloned().collect();
        (split, if exact.is_empty() { files } else { exact })
    };
    splits.into_iter().map(narrowed).collect()
}

fn one(split: &str, files: Vec<String>) -> Splits {
    if files.is_empty() { Vec::new() } else { vec![(split.to_owned(), files)] }
}
