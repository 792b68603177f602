//! The made files on disk: written so that a reader never sees half of one, or compared with what is there.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

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
        replace(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Fails with the first file under `output_dir` that is not what would be written.
pub(crate) fn check(output_dir: &Path, made: &[Made]) -> Result<()> {
    for (path, text) in made {
        let path = output_dir.join(path);
        let found = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if found != *text {
            bail!("{} {}; run make-fixtures to write it again", path.display(), difference(&found, text));
        }
    }
    Ok(())
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("the path has no folder")?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().permissions(permissions()).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Readable by everyone: a temporary file is private otherwise, and stays so under its final name.
#[cfg(unix)]
fn permissions() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    fs::Permissions::from_mode(0o644)
}

fn difference(found: &str, made: &str) -> String {
    match found.lines().zip(made.lines()).position(|(one, two)| one != two) {
        Some(line) => format!("differs in line {}", line + 1),
        None => {
            format!("has {} lines where {} would be written", found.lines().count(), made.lines().count())
        }
    }
}
