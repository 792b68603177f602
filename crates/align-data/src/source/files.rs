//! Which files hold a split. Names matter only here: what is packed, `open` tells by content.

use std::path::{Path, PathBuf};

use super::slice::Slice;
use crate::dataset::Dataset;
use crate::error::{DataError, Result};
use crate::formats::{Format, READ};
use crate::layout::{Layout, Pattern, is_pattern};

/// Folders in each other, and files, that are looked through for those of a data set.
const DEEPEST: usize = 16;
const MOST_FILES: usize = 100_000;
/// Bytes of the longest README whose YAML is read.
const LONGEST_CARD: u64 = 8 << 20;

/// True if the data set is a directory that holds data files for `split`.
///
/// A single file is never split: it is false for files, so that a training file is not also taken for the
/// evaluation data.
pub fn has_split(dataset: impl Into<Dataset>, split: &str) -> bool {
    let dataset = dataset.into();
    let files = || split_files(&dataset, Slice::parse(split)?.split());
    dataset.has_splits() && files().is_ok()
}

/// The files of a split in the order they are read: the file itself, those that a pattern names, or a directory's, as its
/// layout has them.
pub(super) fn split_files(dataset: &Dataset, split: &str) -> Result<Vec<PathBuf>> {
    let path = &dataset.path;
    if path.is_dir() {
        let files = directory(dataset)?.files(split).map_err(|problem| layout(path, problem))?;
        return Ok(files.into_iter().map(|file| path.join(file)).collect());
    }
    let pattern = path.to_str().filter(|text| is_pattern(text));
    match pattern {
        Some(pattern) if !path.exists() => matching(pattern),
        _ => Ok(vec![path.clone()]),
    }
}

fn directory(dataset: &Dataset) -> Result<Layout> {
    let path = &dataset.path;
    let card = path.join("README.md");
    let card = if card.is_file() { Some(align_files::read_to_string(&card, LONGEST_CARD)?) } else { None };
    let files = files_below(path, DEEPEST)?;
    Layout::new(&files, card.as_deref(), dataset.config.as_deref()).map_err(|problem| layout(path, problem))
}

/// The data files that a pattern names, in the order of their names.
fn matching(text: &str) -> Result<Vec<PathBuf>> {
    let pattern = Pattern::new(text);
    let (folders, depth) = pattern.place();
    let root = if text.starts_with('/') { "/" } else { "" };
    let base = Path::new(root).join(folders.join("/"));
    let found = if base.as_os_str().is_empty() || base.is_dir() {
        files_below(
            if base.as_os_str().is_empty() { Path::new(".") } else { &base },
            depth.unwrap_or(DEEPEST),
        )?
    } else {
        Vec::new()
    };
    let is_meant = |path: &PathBuf| path.to_str().is_some_and(|path| pattern.matches(path));
    let is_data = |path: &PathBuf| path.file_name().and_then(|name| Format::of(name.to_str()?)).is_some();
    let mut files: Vec<PathBuf> =
        found.iter().map(|file| base.join(file)).filter(is_meant).filter(is_data).collect();
    files.sort();
    if files.is_empty() {
        let problem = format!("no file of this pattern; read are {READ}");
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, problem);
        return Err(DataError::Read { path: text.into(), source });
    }
    Ok(files)
}

/// The ordinary files in a directory and below it, as paths with `/`. What a link leads to counts; hidden folders do not.
fn files_below(dir: &Path, depth: usize) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), depth)];
    while let Some((folder, depth)) = folders.pop() {
        let place = dir.join(&folder);
        let read = |source| DataError::Read { path: place.clone(), source };
        for entry in std::fs::read_dir(&place).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            let Some(name) = name.to_str() else { continue };
            let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            // What has vanished meanwhile, or is a link to nothing, is not there.
            let Ok(metadata) = std::fs::metadata(dir.join(&path)) else { continue };
            if metadata.is_file() {
                files.push(path);
            } else if metadata.is_dir() && depth > 1 && !name.starts_with('.') {
                folders.push((path, depth - 1));
            }
            if files.len() + folders.len() > MOST_FILES {
                let problem = format!(
                    "more than {MOST_FILES} files; name the folder, or a pattern, of those that are meant"
                );
                return Err(read(std::io::Error::other(problem)));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn layout(path: &Path, problem: crate::LayoutError) -> DataError {
    DataError::Layout { path: path.to_path_buf(), problem }
}
