//! Which files hold a split. Names matter only here: what a file is, `open` and `rows` tell by its content.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{DataError, Result};

const EXTENSIONS: [&str; 2] = [".jsonl", ".json"];
const COMPRESSIONS: [&str; 3] = ["", ".gz", ".zst"];

/// True if `path` is a directory that holds data files for `split`.
///
/// A single file is never split: it is false for files, so that a training file is not also taken for the
/// evaluation data.
pub fn has_split(path: impl AsRef<Path>, split: &str) -> bool {
    let path = path.as_ref();
    path.is_dir() && split_files(path, split).is_ok()
}

/// The files of a split in the order they are read: the file itself, or a directory's matching files by name.
///
/// In a directory a file belongs to a split if it is named after it (`train.jsonl`), is one of its shards
/// (`train-00000-of-00002.jsonl`), or, where neither exists, has it as a word of its name
/// (`harmless-base.train.jsonl.gz`). Subdirectories `data/` and the one named after the split count too.
pub(super) fn split_files(path: &Path, split: &str) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut candidates = data_files(path)?;
    if path.join("data").is_dir() {
        candidates.extend(data_files(&path.join("data"))?);
    }
    let exact: Vec<_> = candidates.iter().filter(|(_, stem)| without_shard(stem) == split).collect();
    let chosen = if exact.is_empty() {
        candidates.iter().filter(|(_, stem)| has_word(stem, split)).collect()
    } else {
        exact
    };
    let mut files: Vec<PathBuf> = chosen.into_iter().map(|(file, _)| file.clone()).collect();
    if files.is_empty() && path.join(split).is_dir() {
        files = data_files(&path.join(split))?.into_iter().map(|(file, _)| file).collect();
    }
    if files.is_empty() {
        return Err(DataError::NoSplit {
            dir: path.to_path_buf(),
            split: split.to_owned(),
            found: listing(path)?,
        });
    }
    files.sort();
    Ok(files)
}

/// The data files directly in `dir`, each with its name without extensions.
fn data_files(dir: &Path) -> Result<Vec<(PathBuf, String)>> {
    let names = names(dir)?;
    let stems =
        names.iter().filter_map(|name| Some((dir.join(name), stem(&name.to_string_lossy())?.to_owned())));
    Ok(stems.filter(|(file, _)| file.is_file()).collect())
}

fn names(dir: &Path) -> Result<Vec<OsString>> {
    let read = |source| DataError::Read { path: dir.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(read)? {
        names.push(entry.map_err(read)?.file_name());
    }
    names.sort();
    Ok(names)
}

/// `train` for `train.jsonl.gz`; none for files that are not data.
fn stem(name: &str) -> Option<&str> {
    COMPRESSIONS.iter().find_map(|compression| {
        let name = name.strip_suffix(compression)?;
        EXTENSIONS.iter().find_map(|extension| name.strip_suffix(extension))
    })
}

/// `train` for `train-00000-of-00002`, `train_1` and `train`.
fn without_shard(stem: &str) -> &str {
    let is_shard = |c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let base = stem.trim_end_matches(is_shard);
    base.strip_suffix("-of").map_or(base, |base| base.trim_end_matches(is_shard))
}

/// Whether `word` stands in `stem` between separators or at its ends.
fn has_word(stem: &str, word: &str) -> bool {
    stem.match_indices(word).any(|(at, _)| {
        let free = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        !word.is_empty()
            && free(stem[..at].chars().next_back())
            && free(stem[at + word.len()..].chars().next())
    })
}

fn listing(dir: &Path) -> Result<String> {
    const SHOWN: usize = 12;
    let names = names(dir)?;
    let names: Vec<_> =
        names.iter().map(|name| name.to_string_lossy().chars().take(80).collect::<String>()).collect();
    Ok(match names.len() {
        0 => "nothing".to_owned(),
        n if n > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => names.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_and_words_are_recognised() {
        assert_eq!(without_shard("train-00000-of-00002"), "train");
        assert_eq!(without_shard("train_1"), "train");
        assert_eq!(without_shard("train_prefs"), "train_prefs");
        assert!(has_word("harmless-base.train", "train"));
        assert!(!has_word("constraint", "train"));
        assert_eq!(stem("test.jsonl.zst"), Some("test"));
        assert_eq!(stem("README.md"), None);
    }
}
