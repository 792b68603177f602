//! A model by name: the directory that holds its configuration, weights and tokenizer.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use align_gguf::GgufFile;
use serde::Deserialize;

use super::name::{is_hub_id, is_plain_path};
use super::snapshot::{Kind, Snapshot};
use super::{Hub, HubError};

const CONFIG: &str = "config.json";
const ADAPTER_CONFIG: &str = "adapter_config.json";
const ADAPTER: &str = "adapter_model.safetensors";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The largest index that is read, in bytes.
const LARGEST_INDEX: u64 = 64 << 20;

/// Small files at the top of the repository that are taken along where they exist.
const BESIDE: &[&str] = &[
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
];

/// `model.safetensors.index.json`, as far as it names files.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

pub(super) fn resolve(hub: &Hub, name: &str, revision: &str) -> Result<PathBuf, HubError> {
    let path = Path::new(name);
    if path.exists() {
        return check_local(path);
    }
    let (id, revision) = name.rsplit_once('@').unwrap_or((name, revision));
    if let Some((id, file)) = gguf_of(id) {
        let snapshot = Snapshot::open(hub, Kind::Model, id, revision)?;
        if !snapshot.has(file) {
            return Err(snapshot.lacks(&format!("`{file}`"), ggufs(&snapshot)));
        }
        let parts = parts(&snapshot, file);
        snapshot.fetch_all(parts.iter().map(String::as_str))?;
        return Ok(snapshot.directory.join(file));
    }
    if !is_hub_id(id) {
        return Err(HubError::NoSuchPath { kind: "model", name: name.to_owned() });
    }
    let snapshot = Snapshot::open(hub, Kind::Model, id, revision)?;
    snapshot.fetch_all(wanted(&snapshot)?.iter().map(String::as_str))?;
    Ok(snapshot.directory)
}

/// The loader reads what is there and has more to say about it; here only what a wrong path looks like. A directory that
/// holds nothing but a GGUF file stands for the file.
fn check_local(path: &Path) -> Result<PathBuf, HubError> {
    let bad = |problem: String| Err(HubError::BadModel { path: path.to_owned(), problem });
    if path.is_file() {
        return if GgufFile::is_at(path) {
            Ok(path.to_owned())
        } else {
            bad("a file; name the directory that holds config.json and model.safetensors, or a GGUF file"
                .to_owned())
        };
    }
    if path.join(CONFIG).is_file() || path.join(ADAPTER_CONFIG).is_file() {
        return Ok(path.to_owned());
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| GgufFile::is_at(path)).collect();
    files.sort();
    match files.as_slice() {
        [] => bad("no config.json in this directory; expected a Hugging Face model directory".to_owned()),
        [only] => Ok(only.clone()),
        [first, ..] => bad(format!(
            "{} GGUF files in this directory; name one, such as {}",
            files.len(),
            first.display()
        )),
    }
}

/// The repository and the file in `org/name/file.gguf`.
fn gguf_of(name: &str) -> Option<(&str, &str)> {
    let (at, _) = name.match_indices('/').nth(1)?;
    let (id, file) = (&name[..at], &name[at + 1..]);
    (is_hub_id(id) && is_plain_path(file) && GgufFile::is_at(Path::new(file))).then_some((id, file))
}

/// The GGUF files of a repository, for an error.
fn ggufs(snapshot: &Snapshot<'_>) -> String {
    let mut names: Vec<&str> = paths(snapshot).filter(|file| GgufFile::is_at(Path::new(file))).collect();
    names.sort_unstable();
    match names.as_slice() {
        [] => "it has no GGUF files either".to_owned(),
        [first, ..] => {
            format!("it has {} GGUF files: name one, such as {}/{first}", names.len(), snapshot.name)
        }
    }
}

fn paths<'s>(snapshot: &'s Snapshot<'_>) -> impl Iterator<Item = &'s str> {
    snapshot.files.iter().map(|file| file.path.as_str())
}

/// All parts of a model that begins with this file.
fn parts(snapshot: &Snapshot<'_>, first: &str) -> Vec<String> {
    let (stem, _) = first.rsplit_once("-00001-of-").unwrap_or((first, ""));
    let of = first.strip_prefix(stem).and_then(|rest| rest.strip_prefix("-00001"));
    let Some(of) = of else { return vec![first.to_owned()] };
    let is_part = |file: &&str| {
        let number = file.strip_prefix(stem).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(of));
        number.is_some_and(|number| number.len() == 5 && number.bytes().all(|it| it.is_ascii_digit()))
    };
    paths(snapshot).filter(is_part).map(str::to_owned).collect()
}

/// The files to have: configuration, tokenizer, and the weights, one file or the shards of an index.
fn wanted(snapshot: &Snapshot<'_>) -> Result<Vec<String>, HubError> {
    let beside = || BESIDE.iter().filter(|file| snapshot.has(file)).map(|file| (*file).to_owned());
    if snapshot.has(ADAPTER_CONFIG) {
        if !snapshot.has(ADAPTER) {
            let problem = "adapters in other formats must be converted first".into();
            return Err(snapshot.lacks(ADAPTER, problem));
        }
        return Ok([ADAPTER_CONFIG.to_owned(), ADAPTER.to_owned()].into_iter().chain(beside()).collect());
    }
    if !snapshot.has(CONFIG) {
        let problem =
            format!("the repository has no config.json; it is not a transformers model; {}", ggufs(snapshot));
        return Err(snapshot.lacks("its config.json", problem));
    }
    let mut files = vec![CONFIG.to_owned()];
    files.extend(beside());
    if snapshot.has(WEIGHTS) {
        files.push(WEIGHTS.to_owned());
    } else if snapshot.has(INDEX) {
        files.push(INDEX.to_owned());
        files.extend(shards(snapshot, &snapshot.fetch(INDEX)?)?);
    } else {
        return Err(snapshot.lacks(
            WEIGHTS,
            format!("found neither {WEIGHTS} nor {INDEX}; convert weights in other formats to safetensors"),
        ));
    }
    Ok(files)
}

/// The files that the index names, each of which must be one of the repository's.
fn shards(snapshot: &Snapshot<'_>, index: &Path) -> Result<BTreeSet<String>, HubError> {
    let text = align_files::read(index, LARGEST_INDEX)?;
    let index: Index =
        serde_json::from_slice(&text).map_err(|error| snapshot.unusable(format!("{INDEX}: {error}")))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    match shards.iter().find(|shard| !snapshot.has(shard)) {
        None => Ok(shards),
        Some(shard) => {
            let problem = format!("{INDEX} names `{shard}`, which is no file of the repository");
            Err(snapshot.lacks(&format!("`{shard}`"), problem))
        }
    }
}
