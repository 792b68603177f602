//! A data set by name: a path on disk, or the JSON files of one split of a hub repository.

use std::path::{Path, PathBuf};

use hf_hub::RepoType;

use super::snapshot::Snapshot;
use super::{Hub, HubError, is_hub_id};

const EXTENSIONS: &[&str] = &[".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst"];
/// Files of these names describe a data set; they hold no records.
const NOT_RECORDS: &[&str] = &["dataset_infos.json", "dataset_info.json", "state.json", "package.json"];
/// Beginnings of names by which repositories tell their splits apart.
const SPLITS: &[&str] = &["train", "test", "validation", "valid", "val", "dev", "eval"];

pub(super) fn resolve(hub: &Hub, name: &str, split: &str) -> Result<PathBuf, HubError> {
    if Path::new(name).exists() {
        return Ok(PathBuf::from(name));
    }
    let (id, folder, revision) = parts(name);
    if !is_hub_id(&id) {
        return Err(HubError::NoSuchPath { kind: "dataset", name: name.to_owned() });
    }
    let snapshot = Snapshot::open(hub, RepoType::Dataset, &id, revision)?;
    let records: Vec<&str> = snapshot
        .files
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| is_records(path) && Path::new(path).starts_with(folder))
        .collect();
    if records.is_empty() {
        let place =
            if folder.is_empty() { "the repository".into() } else { format!("the folder `{folder}`") };
        return Err(snapshot.unusable(format!(
            "{place} has no .jsonl or .json files (plain, .gz or .zst); other formats have to be converted"
        )));
    }
    let chosen = of_split(&records, split);
    if chosen.is_empty() {
        return Err(
            snapshot.unusable(format!("no file belongs to split `{split}`; found {}", some(&records)))
        );
    }
    for file in &chosen {
        snapshot.fetch(file)?;
    }
    Ok(match chosen.as_slice() {
        [file] => snapshot.directory.join(file),
        _ => snapshot.directory.join(folder),
    })
}

/// `org/name/folder@revision` → id, folder, revision.
fn parts(name: &str) -> (String, &str, &str) {
    let (path, revision) = name.rsplit_once('@').unwrap_or((name, "main"));
    let mut cuts = path.match_indices('/').map(|(at, _)| at);
    match cuts.nth(1) {
        Some(second) => (path[..second].to_owned(), path[second + 1..].trim_end_matches('/'), revision),
        None => (path.to_owned(), "", revision),
    }
}

fn is_records(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    EXTENSIONS.iter().any(|extension| file.ends_with(extension))
        && !NOT_RECORDS.contains(&file)
        && !file.starts_with('.')
}

/// The files of `split`; where no file names any split, all are `train`.
fn of_split<'a>(files: &[&'a str], split: &str) -> Vec<&'a str> {
    let names = |path: &str, split: &str| path.rsplit('/').take(2).any(|part| begins_with_word(part, split));
    let chosen: Vec<&str> = files.iter().copied().filter(|path| names(path, split)).collect();
    let any_named = files.iter().any(|path| SPLITS.iter().any(|split| names(path, split)));
    if chosen.is_empty() && !any_named && split == "train" { files.to_vec() } else { chosen }
}

/// `train`, `train.jsonl`, `train-00000-of-00001.jsonl`; not `training.jsonl`.
fn begins_with_word(name: &str, word: &str) -> bool {
    name.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

fn some(files: &[&str]) -> String {
    let shown = files.iter().take(5).map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ");
    if files.len() > 5 { format!("{shown} and {} more", files.len() - 5) } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_an_id_a_folder_and_a_revision() {
        let check = |name, id: &str, folder, revision| {
            assert_eq!(parts(name), (id.to_owned(), folder, revision), "{name}");
        };
        check("org/data", "org/data", "", "main");
        check("org/data@v1", "org/data", "", "v1");
        check("org/data/harmless-base", "org/data", "harmless-base", "main");
        check("org/data/a/b/@v2", "org/data", "a/b", "v2");
        check("imdb", "imdb", "", "main");
    }

    #[test]
    fn splits_are_told_by_the_names_of_files_and_folders() {
        let files =
            ["a/train.jsonl.gz", "a/test.jsonl.gz", "b/train-00000-of-00001.json", "extra/notes.jsonl"];
        assert_eq!(of_split(&files, "train"), ["a/train.jsonl.gz", "b/train-00000-of-00001.json"]);
        assert_eq!(of_split(&files, "test"), ["a/test.jsonl.gz"]);
        assert_eq!(of_split(&files, "validation"), Vec::<&str>::new());
        assert_eq!(of_split(&["data/train/0.json", "data/test/0.json"], "train"), ["data/train/0.json"]);
        assert_eq!(of_split(&["pairs.jsonl", "more.jsonl"], "train"), ["pairs.jsonl", "more.jsonl"]);
        assert_eq!(of_split(&["pairs.jsonl"], "test"), Vec::<&str>::new());
        assert_eq!(of_split(&["training.jsonl"], "train"), ["training.jsonl"]);
    }
}
