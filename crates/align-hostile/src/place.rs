//! The directory that a row is run in, and what a program did to it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::row::Content;

/// What every row finds: small models, and rows of data of each kind.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/runs");
const MODELS: [(&str, &str); 3] =
    [("model", "model"), ("reward", "model-reward"), ("adapter", "sft_lora/initial_adapter")];
const DATA: [(&str, &str); 3] =
    [("sft.jsonl", "prompt_completion.jsonl"), ("pairs.jsonl", "pairs.jsonl"), ("texts.jsonl", "text.jsonl")];
/// Rows of each data file: enough for a step, and few.
const ROWS: usize = 8;

/// A temporary directory with the program's working directory in it, and room beside that.
pub(crate) struct Place {
    outer: TempDir,
}

/// Paths below the outer directory, each with what is there.
pub(crate) type Contents = BTreeMap<PathBuf, String>;

impl Place {
    pub(crate) fn new() -> io::Result<Self> {
        let place = Self { outer: tempfile::tempdir()? };
        let fixtures = Path::new(FIXTURES);
        for (name, from) in MODELS {
            copy(&fixtures.join(from), &place.path(name))?;
        }
        let settings = place.path("adapter/adapter_config.json");
        fs::write(&settings, fs::read_to_string(&settings)?.replace("../../model", "../model"))?;
        for (name, from) in DATA {
            let text = fs::read_to_string(fixtures.join(from))?;
            let rows: String = text.split_inclusive('\n').take(ROWS).collect();
            fs::write(place.path(name), rows)?;
        }
        for beside in ["home", "tmp", "others"] {
            fs::create_dir(place.outer().join(beside))?;
        }
        fs::write(place.outer().join("others/theirs"), "not yours")?;
        Ok(place)
    }

    /// Copies a place with all that is in it.
    pub(crate) fn again(&self) -> io::Result<Self> {
        let place = Self { outer: tempfile::tempdir()? };
        copy(self.outer(), place.outer())?;
        Ok(place)
    }

    pub(crate) fn outer(&self) -> &Path {
        self.outer.path()
    }

    /// The working directory.
    pub(crate) fn dir(&self) -> PathBuf {
        self.outer().join("here")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Puts something at a path of the working directory.
    pub(crate) fn put(&self, name: &str, content: &Content) -> io::Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match content {
            Content::Bytes(bytes) => fs::write(path, bytes),
            Content::Made(make) => fs::write(path, make()),
            Content::Set(pointer, value) => {
                let json = set(serde_json::from_slice(&fs::read(&path)?)?, pointer, value.clone());
                fs::write(path, json.to_string())
            }
            Content::Edit(edit) => fs::write(&path, edit(fs::read(&path)?)),
            Content::Sparse(length) => File::create(path)?.set_len(*length),
            Content::Directory => fs::create_dir_all(path),
            Content::Copy(from) => copy(&self.path(from), &path),
            Content::Link(to) => symlink(to, path),
            Content::Fifo => {
                let made = Command::new("mkfifo").arg(path).status()?;
                if made.success() { Ok(()) } else { Err(io::Error::other("mkfifo failed")) }
            }
            Content::Gone if path.is_dir() => fs::remove_dir_all(path),
            Content::Gone => fs::remove_file(path),
        }
    }

    pub(crate) fn contents(&self) -> io::Result<Contents> {
        let mut found = Contents::new();
        list(self.outer(), self.outer(), &mut found)?;
        Ok(found)
    }
}

/// The value with another one in the place that the pointer names; null takes an object's field out.
fn set(mut json: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    match json.pointer_mut(parent) {
        Some(Value::Object(fields)) if value.is_null() => drop(fields.remove(name)),
        Some(Value::Object(fields)) => drop(fields.insert(name.to_owned(), value)),
        Some(Value::Array(items)) => {
            if let Some(item) = name.parse().ok().and_then(|place: usize| items.get_mut(place)) {
                *item = value;
            }
        }
        _ => {}
    }
    json
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::write(to, fs::read(from)?);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Names, and what is there: the hash of a file, where a link points, or the kind of anything else.
fn list(root: &Path, dir: &Path, found: &mut Contents) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let data = path.symlink_metadata()?;
        let content = if data.is_symlink() {
            format!("link to {}", fs::read_link(&path)?.display())
        } else if data.is_file() {
            hash(&path, data.len())?
        } else {
            format!("{:?}", data.file_type())
        };
        found.insert(path.strip_prefix(root).unwrap_or(&path).to_owned(), content);
        if data.is_dir() {
            list(root, &path, found)?;
        }
    }
    Ok(())
}

/// Of a file that is longer than anything the rows really write, its length must do.
fn hash(path: &Path, length: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(1 << 26).read_to_end(&mut bytes)?;
    let hash = Sha256::digest(&bytes);
    Ok(format!("{length} bytes {:02x?}", &hash[..8]))
}
