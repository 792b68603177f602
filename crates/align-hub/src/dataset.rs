//! A data set by name: a path on disk, or files of a hub repository.
//!
//! Which file belongs to which split is not decided here: [`Layout`] finds it in the list of a repository's files as in a
//! directory, so that no more is fetched than is read, and what was fetched is found again.

use std::path::{Path, PathBuf};

use align_data::{Dataset, Layout, LayoutError};

use super::name::is_hub_id;
use super::snapshot::{Kind, Snapshot};
use super::{Hub, HubError};

/// The branch on which the hub keeps the Parquet files that it makes of others.
const CONVERTED: &str = "refs/convert/parquet";
const CARD: &str = "README.md";
/// Bytes of the longest card.
const LONGEST_CARD: u64 = 8 << 20;

/// All splits of the default config; a single file as the file.
pub(super) fn resolve(hub: &Hub, name: &str) -> Result<PathBuf, HubError> {
    if is_path(name) {
        return Ok(PathBuf::from(name));
    }
    let found = Found::open(hub, name, None)?;
    let files = found.whole(found.layout.all_files());
    match files.as_slice() {
        [] => Err(found.lacks("train")),
        [file] => found.snapshot.fetch_all([file.as_str()]).map(|()| found.snapshot.directory.join(file)),
        _ => found.fetch(&files),
    }
}

/// A split of a config, and of another split the files that there are.
pub(super) fn resolve_split(
    hub: &Hub,
    name: &str,
    config: Option<&str>,
    split: &str,
    optional: Option<&str>,
) -> Result<Dataset, HubError> {
    if is_path(name) {
        return Ok(Dataset::from(name).with_config(config.map(str::to_owned)));
    }
    let found = Found::open(hub, name, config)?;
    let files = |split: &str| found.layout.files(split.split('[').next().unwrap_or(split));
    let mut paths = match files(split) {
        Ok(paths) => paths,
        // A file that is named is read whole, whatever the split.
        Err(_) if found.is_file => found.layout.all_files().map(str::to_owned).collect(),
        Err(_) => return Err(found.lacks(split)),
    };
    paths.extend(optional.and_then(|split| files(split).ok()).unwrap_or_default());
    let directory = found.fetch(&found.whole(paths.iter().map(String::as_str)))?;
    Ok(Dataset::from(directory).with_config(config.filter(|_| found.has_configs).map(str::to_owned)))
}

/// A path, a pattern of paths, or standard input. A pattern below a folder that is not there may have the shape of an id.
fn is_path(name: &str) -> bool {
    let folders =
        || name.find(['*', '?', '[']).and_then(|at| name[..at].rsplit_once('/')).map_or(".", |(it, _)| it);
    let is_meant = || Path::new(folders()).is_dir() || !is_hub_id(parts(name).0);
    name == "-" || Path::new(name).exists() || (align_data::is_pattern(name) && is_meant())
}

/// A repository whose files are known and not yet fetched.
struct Found<'a> {
    snapshot: Snapshot<'a>,
    /// In front of the layout's files, with a slash at its end if there is something.
    prefix: String,
    /// The directory, below the snapshot's, that has this layout.
    directory: String,
    layout: Layout,
    /// Whether the directory has a card, which says configs.
    has_configs: bool,
    is_file: bool,
}

impl<'a> Found<'a> {
    fn open(hub: &'a Hub, name: &'a str, config: Option<&str>) -> Result<Self, HubError> {
        let (id, place, revision) = parts(name);
        // `data/pairs.jsonl` has the shape of an id, and is a path that was misspelled.
        if !is_hub_id(id) || align_data::is_data_file(id) {
            return Err(HubError::NoSuchPath { kind: "dataset", name: name.to_owned() });
        }
        let snapshot = Snapshot::open(hub, Kind::Dataset, id, revision.unwrap_or("main"))?;
        let is_file = snapshot.has(place);
        let prefix = match place.rsplit_once('/') {
            Some((folder, _)) if is_file => format!("{folder}/"),
            None if is_file || place.is_empty() => String::new(),
            _ => format!("{place}/"),
        };
        let below = snapshot.files.iter().filter(|file| !is_file || file.path == place);
        let files: Vec<String> =
            below.filter_map(|file| Some(file.path.strip_prefix(prefix.as_str())?.to_owned())).collect();
        let has_configs = place.is_empty();
        let card = if has_configs { card(&snapshot)? } else { None };
        let layout = Layout::new(&files, card.as_deref(), config);
        let is_empty = match &layout {
            Ok(layout) => layout.all_files().next().is_none(),
            Err(LayoutError::NoConfig { found, .. }) => found.is_empty(),
            Err(_) => false,
        };
        let converts = is_empty && has_configs && revision.is_none();
        if let Some(converted) = if converts { Self::converted(hub, id, config)? } else { None } {
            return Ok(converted);
        }
        let layout = layout.map_err(|problem| snapshot.unusable(problem.to_string()))?;
        let directory = if is_file { place.to_owned() } else { prefix.trim_end_matches('/').to_owned() };
        Ok(Self { snapshot, prefix, directory, layout, has_configs, is_file })
    }

    /// What the hub made of a repository, if it did.
    fn converted(hub: &'a Hub, id: &'a str, config: Option<&str>) -> Result<Option<Self>, HubError> {
        let snapshot = match Snapshot::open(hub, Kind::Dataset, id, CONVERTED) {
            Err(HubError::NotFound { .. } | HubError::Offline { .. }) => return Ok(None),
            snapshot => snapshot?,
        };
        let files: Vec<String> = snapshot.files.iter().map(|file| file.path.clone()).collect();
        let layout = Layout::converted(&files, config);
        let layout = layout.map_err(|problem| snapshot.unusable(problem.to_string()))?;
        let Some((directory, _)) = layout.all_files().next().and_then(|file| file.split_once('/')) else {
            return Ok(None);
        };
        let directory = directory.to_owned();
        Ok(Some(Self {
            snapshot,
            prefix: String::new(),
            directory,
            layout,
            has_configs: false,
            is_file: false,
        }))
    }

    /// Paths of the layout as paths of the repository.
    fn whole<'f>(&self, files: impl Iterator<Item = &'f str>) -> Vec<String> {
        files.map(|file| format!("{}{file}", self.prefix)).collect()
    }

    /// Has these files, and says which directory they make.
    fn fetch(&self, files: &[String]) -> Result<PathBuf, HubError> {
        self.snapshot.fetch_all(files.iter().map(String::as_str))?;
        Ok(self.snapshot.directory.join(&self.directory))
    }

    fn lacks(&self, split: &str) -> HubError {
        let problem = self.layout.files(split).err().map_or_else(String::new, |problem| problem.to_string());
        self.snapshot.lacks(&format!("the split `{split}`"), problem)
    }
}

/// The card of a repository; a cache that was filled without it serves all the same.
fn card(snapshot: &Snapshot<'_>) -> Result<Option<String>, HubError> {
    if !snapshot.has(CARD) {
        return Ok(None);
    }
    match snapshot.fetch(CARD) {
        Ok(path) => Ok(Some(align_files::read_to_string(path, LONGEST_CARD)?)),
        Err(HubError::Offline { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `org/name/place@revision` → id, place, revision; the place is a folder or a file of the repository.
fn parts(name: &str) -> (&str, &str, Option<&str>) {
    let (path, revision) = match name.rsplit_once('@') {
        Some((path, revision)) => (path, Some(revision)),
        None => (name, None),
    };
    match path.match_indices('/').nth(1) {
        Some((second, _)) => (&path[..second], path[second + 1..].trim_end_matches('/'), revision),
        None => (path, "", revision),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_an_id_a_place_and_a_revision() {
        let check = |name, expected: (&str, &str, Option<&str>)| assert_eq!(parts(name), expected, "{name}");
        check("org/data", ("org/data", "", None));
        check("org/data@v1", ("org/data", "", Some("v1")));
        check("org/data/harmless-base", ("org/data", "harmless-base", None));
        check("org/data/a/b/@v2", ("org/data", "a/b", Some("v2")));
        check("imdb", ("imdb", "", None));
    }
}
