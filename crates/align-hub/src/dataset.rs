//! A data set by name: a path on disk, or the JSON files of a hub repository.
//!
//! Which file belongs to which split is not decided here: align-data reads a directory by its rules,
//! and gets from here a directory with all files that those rules look at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::name::is_hub_id;
use super::snapshot::{Kind, Snapshot};
use super::{Hub, HubError};

const EXTENSIONS: &[&str] = &[".jsonl", ".json", ".jsonl.gz", ".json.gz", ".jsonl.zst", ".json.zst"];
/// Files of these names describe a data set; they hold no records.
const NOT_RECORDS: &[&str] = &["dataset_infos.json", "dataset_info.json", "state.json", "package.json"];
/// Folders that hold the files of the folder above them.
const TRANSPARENT: &[&str] = &["data", "train", "test", "validation", "valid", "val", "dev", "eval"];

pub(super) fn resolve(hub: &Hub, name: &str) -> Result<PathBuf, HubError> {
    if Path::new(name).exists() {
        return Ok(PathBuf::from(name));
    }
    let (id, place, revision) = parts(name);
    // `data/pairs.jsonl` has the shape of an id, and is a path that was misspelled.
    if !is_hub_id(id) || has_record_name(id) {
        return Err(HubError::NoSuchPath { kind: "dataset", name: name.to_owned() });
    }
    let snapshot = Snapshot::open(hub, Kind::Dataset, id, revision)?;
    let records: Vec<&str> =
        snapshot.files.iter().map(|file| file.path.as_str()).filter(|path| has_record_name(path)).collect();
    let chosen: Vec<&str> =
        records.iter().copied().filter(|path| *path == place || folder(path) == place).collect();
    snapshot.fetch_all(chosen.iter().copied())?;
    match chosen.as_slice() {
        [] => Err(nothing_at(&snapshot, id, place, &records)),
        [file] => Ok(snapshot.directory.join(file)),
        _ => Ok(snapshot.directory.join(place)),
    }
}

/// `org/name/place@revision` → id, place, revision; the place is a folder or a file of the repository.
fn parts(name: &str) -> (&str, &str, &str) {
    let (path, revision) = name.rsplit_once('@').unwrap_or((name, "main"));
    match path.match_indices('/').nth(1) {
        Some((second, _)) => (&path[..second], path[second + 1..].trim_end_matches('/'), revision),
        None => (path, "", revision),
    }
}

fn has_record_name(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    EXTENSIONS.iter().any(|extension| file.ends_with(extension)) && !NOT_RECORDS.contains(&file)
}

/// The folder that a file counts as being in.
fn folder(path: &str) -> &str {
    let above = |path: &'_ str| path.rfind('/').unwrap_or(0);
    let folder = &path[..above(path)];
    let name = folder.rsplit('/').next().unwrap_or(folder);
    if TRANSPARENT.contains(&name) { &folder[..above(folder)] } else { folder }
}

fn nothing_at(snapshot: &Snapshot<'_>, id: &str, place: &str, records: &[&str]) -> HubError {
    let folders: BTreeSet<&str> = records.iter().map(|path| folder(path)).collect();
    let problem = if folders.is_empty() {
        "the repository has no .jsonl or .json files (plain, .gz or .zst); convert other formats".into()
    } else {
        let here = if place.is_empty() { "its top folder".into() } else { format!("`{place}`") };
        let names: Vec<String> = folders.iter().take(8).map(|at| format!("`{id}/{at}`")).collect();
        format!("no .jsonl or .json files in {here}; name one of {}", names.join(", "))
    };
    snapshot.lacks("any .jsonl or .json file of it", problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_an_id_a_place_and_a_revision() {
        let check = |name, expected: (&str, &str, &str)| assert_eq!(parts(name), expected, "{name}");
        check("org/data", ("org/data", "", "main"));
        check("org/data@v1", ("org/data", "", "v1"));
        check("org/data/harmless-base", ("org/data", "harmless-base", "main"));
        check("org/data/a/b/@v2", ("org/data", "a/b", "v2"));
        check("imdb", ("imdb", "", "main"));
    }

    #[test]
    fn folders_of_splits_belong_to_the_folder_above() {
        let check = |path, expected: &str| assert_eq!(folder(path), expected, "{path}");
        check("train.jsonl", "");
        check("data/train.jsonl", "");
        check("train/0.jsonl", "");
        check("harmless-base/train.jsonl.gz", "harmless-base");
        check("en/train/0.jsonl", "en");
        check("a/b/c.json", "a/b");
    }
}
