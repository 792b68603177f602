//! Packs the files that the built-in examples name, so that the program runs them from any directory.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};

use flate2::{Compression, write::GzEncoder};

/// What the recipes name, below `fixtures`.
const FILES: [&str; 8] = [
    "data/preference",
    "data/preference-large",
    "data/prompts",
    "data/prompts-large",
    "data/sft.jsonl",
    "data/sums",
    "models/tiny-chat",
    "models/tiny-reward",
];

fn main() -> Result<()> {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or_else(|| Error::other("cargo sets OUT_DIR"))?);
    let file = std::fs::File::create(out.join("fixtures.tar.gz"))?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    // The same bytes from the same files, whoever owns them and whenever they were written.
    archive.mode(tar::HeaderMode::Deterministic);
    let fixtures = Path::new("fixtures");
    for name in FILES {
        println!("cargo::rerun-if-changed=fixtures/{name}");
        append(&mut archive, &fixtures.join(name), Path::new(name))?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}

/// Adds a file, or the files of a directory in the order of their names.
fn append(archive: &mut tar::Builder<impl std::io::Write>, path: &Path, name: &Path) -> Result<()> {
    if !path.is_dir() {
        return archive.append_path_with_name(path, name);
    }
    let mut entries: Vec<_> = std::fs::read_dir(path)?.collect::<Result<_>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    entries.iter().try_for_each(|entry| append(archive, &entry.path(), &name.join(entry.file_name())))
}
