//! The made files on disk: written so that a reader never sees half of one, or compared with what is there.
//!
//! Files with a name in `.gz` are packed. They are compared unpacked: another version of the packer may write other
//! bytes for the same text.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

/// A file that is made: its path under the output folder, and its text.
pub(crate) type Made = (PathBuf, String);

/// The files with their paths under `folder`.
pub(crate) fn under(folder: &str, files: Vec<(&'static str, String)>) -> Vec<Made> {
    files.into_iter().map(|(path, text)| (Path::new(folder).join(path), text)).collect()
}

/// Writes every file under `output_dir`, each under a temporary name first.
pub(crate) fn write(output_dir: &Path, made: &[Made]) -> Result<()> {
    for (path, text) in made {
        let path = output_dir.join(path);
        align_files::create_dir_all(path.parent().context("the path has no folder")?)?;
        align_files::write(&path, packed(&path, text)?)?;
    }
    Ok(())
}

/// Fails with the first file under `output_dir` that is not what would be written.
pub(crate) fn check(output_dir: &Path, made: &[Made]) -> Result<()> {
    for (path, text) in made {
        let path = output_dir.join(path);
        let found = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if found != *text {
            bail!("{} {}; run make-fixtures to write it again", path.display(), difference(&found, text));
        }
    }
    Ok(())
}

/// The bytes of a file. The header of a packed one has neither its name nor the time.
fn packed(path: &Path, text: &str) -> Result<Vec<u8>> {
    if !is_packed(path) {
        return Ok(text.as_bytes().to_vec());
    }
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(text.as_bytes())?;
    Ok(packer.finish()?)
}

fn read(path: &Path) -> Result<String> {
    if !is_packed(path) {
        return Ok(fs::read_to_string(path)?);
    }
    let mut text = String::new();
    GzDecoder::new(fs::File::open(path)?).read_to_string(&mut text)?;
    Ok(text)
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn difference(found: &str, made: &str) -> String {
    match found.lines().zip(made.lines()).position(|(one, two)| one != two) {
        Some(line) => format!("differs in line {}", line + 1),
        None => {
            format!("has {} lines where {} would be written", found.lines().count(), made.lines().count())
        }
    }
}
