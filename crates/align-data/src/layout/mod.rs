//! The layout of a data set: which of its files hold which split, as `datasets.load_dataset(name, config, split=…)` finds
//! them. A function of names, so that a directory and a repository that is not yet fetched have one layout.
//!
//! A card's `configs` decide (`card`), else the names of files (`splits`). Paths in a card are patterns (`pattern`). What
//! `datasets` has no name for is found too: a file that is named after the split, or has it as a word of its name.

mod card;
mod error;
mod pattern;
mod splits;
mod yaml;

use std::collections::BTreeMap;

pub use error::LayoutError;
pub(crate) use pattern::Pattern;
pub use pattern::is_pattern;

use crate::formats::Format;
use splits::{Splits, add, by_names, file_name, matching, without_shard};

/// The layout of a data set: its splits and their files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Files by split, in the order in which they are read.
    splits: Splits,
    /// All files that may hold rows, where no card says what is what.
    unnamed: Vec<String>,
}

impl Layout {
    /// The layout of a directory or repository that has these files (paths with `/`, relative to it). `card` is the text of
    /// its README.md, `config` the name of one of its configs, which may be left out where one is the default.
    ///
    /// # Errors
    /// A card that says nothing sensible; a config that does not exist, or that has to be named.
    pub fn new(files: &[String], card: Option<&str>, config: Option<&str>) -> Result<Self, LayoutError> {
        let configs = card.map_or_else(|| Ok(Vec::new()), card::configs)?;
        if configs.is_empty() {
            return match config {
                None | Some("default") => Ok(Self::by_names(files)),
                Some(config) => Err(LayoutError::NoConfig { config: config.to_owned(), found: Vec::new() }),
            };
        }
        let config = card::choose(configs, config)?;
        let folder =
            config.data_dir.as_deref().map(|folder| folder.trim_matches('/').trim_start_matches("./"));
        let folder = folder.filter(|folder| !folder.is_empty() && *folder != ".");
        let inside = |folder: &str| -> Vec<String> {
            files
                .iter()
                .filter_map(|file| Some(file.strip_prefix(folder)?.strip_prefix('/')?.to_owned()))
                .collect()
        };
        let narrowed = folder.map(inside);
        let files = narrowed.as_deref().unwrap_or(files);
        let mut layout = match config.data_files {
            None => Self::by_names(files),
            Some(patterns) => {
                let found = |(split, patterns): (String, Vec<String>)| {
                    let found = patterns.iter().flat_map(|pattern| matching(files, pattern));
                    let mut unique: Vec<String> = Vec::new();
                    found.for_each(|file| {
                        if !unique.contains(&file) {
                            unique.push(file)
                        }
                    });
                    (split, unique)
                };
                let splits = patterns.into_iter().map(found).filter(|(_, files)| !files.is_empty());
                Self { splits: splits.collect(), unnamed: Vec::new() }
            }
        };
        if let Some(folder) = folder {
            let paths = layout.splits.iter_mut().flat_map(|(_, files)| files).chain(&mut layout.unnamed);
            paths.for_each(|path| *path = format!("{folder}/{path}"));
        }
        layout.keep_one_format();
        Ok(layout)
    }

    /// The layout of what the hub itself makes of a repository, on its branch `refs/convert/parquet`:
    /// `config/split/0000.parquet`, where the name of a split that is too large begins with `partial-`.
    ///
    /// # Errors
    /// As [`Layout::new`].
    pub fn converted(files: &[String], config: Option<&str>) -> Result<Self, LayoutError> {
        let mut configs: Vec<(&str, Splits)> = Vec::new();
        let mut sorted: Vec<&String> = files.iter().filter(|file| file.ends_with(".parquet")).collect();
        sorted.sort();
        for file in sorted {
            let [config, split, _] = file.split('/').collect::<Vec<_>>()[..] else { continue };
            let split = split.strip_prefix("partial-").unwrap_or(split);
            if configs.last().is_none_or(|(name, _)| *name != config) {
                configs.push((config, Vec::new()));
            }
            let Some((_, splits)) = configs.last_mut() else { continue };
            add(splits, split, file.clone());
        }
        let found = || configs.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        let chosen = match config {
            Some(config) => configs
                .iter()
                .find(|(name, _)| *name == config)
                .ok_or_else(|| LayoutError::NoConfig { config: config.to_owned(), found: found() })?,
            None => match configs.as_slice() {
                [] => return Ok(Self { splits: Vec::new(), unnamed: Vec::new() }),
                [one] => one,
                several => several
                    .iter()
                    .find(|(name, _)| *name == "default")
                    .ok_or_else(|| LayoutError::ConfigNeeded { found: found() })?,
            },
        };
        Ok(Self { splits: chosen.1.clone(), unnamed: Vec::new() })
    }

    /// The names of the splits, in the order of the card or of `train`, `validation`, `test`.
    pub fn splits(&self) -> impl Iterator<Item = &str> {
        self.splits.iter().map(|(split, _)| split.as_str())
    }

    /// The files of a split, in the order in which they are read.
    ///
    /// # Errors
    /// A split that does not exist, with the names of those that do.
    pub fn files(&self, split: &str) -> Result<Vec<String>, LayoutError> {
        if let Some((_, files)) = self.splits.iter().find(|(name, _)| name == split) {
            return Ok(files.clone());
        }
        let named = self.named_after(split);
        if named.is_empty() {
            let found = self.splits().map(str::to_owned).collect();
            return Err(LayoutError::NoSplit { split: split.to_owned(), found });
        }
        Ok(named)
    }

    /// All files, without those that no split has.
    pub fn all_files(&self) -> impl Iterator<Item = &str> {
        self.splits.iter().flat_map(|(_, files)| files).map(String::as_str)
    }

    fn by_names(files: &[String]) -> Self {
        let mut layout = Self { splits: by_names(files), unnamed: matching(files, "**") };
        layout.keep_one_format();
        layout
    }

    /// Files that are named after a split `datasets` would not see, are its shards, have its name as a word, or lie in a
    /// folder of its name: the first of these rules that finds some.
    fn named_after(&self, split: &str) -> Vec<String> {
        let stem = |path: &str| Format::of(file_name(path)).map_or("", |(_, stem)| stem).to_owned();
        let rules: [&dyn Fn(&str) -> bool; 3] =
            [&|path| without_shard(&stem(path)) == split, &|path| has_word(&stem(path), split), &|path| {
                path.rsplit('/').skip(1).any(|folder| folder == split)
            }];
        let found = |rule: &&dyn Fn(&str) -> bool| -> Vec<String> {
            self.unnamed.iter().filter(|path| rule(path)).cloned().collect()
        };
        rules.iter().map(found).find(|files| !files.is_empty()).unwrap_or_default()
    }

    /// Of several formats the one that most files have, and what goes with it; a text beside others is a note.
    fn keep_one_format(&mut self) {
        let format = |path: &str| Format::of(file_name(path)).map(|(format, _)| format);
        let mut counts: BTreeMap<Format, usize> = BTreeMap::new();
        for format in self.all_files().filter_map(format) {
            *counts.entry(format).or_default() += 1;
        }
        let counts = counts.iter().filter(|(format, _)| **format != Format::Text);
        // The last of equals would win, and the first is preferred.
        let Some((most, _)) = counts.rev().max_by_key(|(_, count)| **count) else { return };
        let stays = |path: &String| format(path).map(Format::family) == Some(most.family());
        self.splits.iter_mut().for_each(|(_, files)| files.retain(stays));
        self.splits.retain(|(_, files)| !files.is_empty());
        self.unnamed.retain(stays);
    }
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

#[cfg(test)]
mod tests;
