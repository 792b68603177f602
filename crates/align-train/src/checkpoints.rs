//! The checkpoints in an output directory: finding the last, tidying up after a kill, removing the oldest.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint::{name, publish, remove_dir};
use crate::manifest::Manifest;
use crate::{Checkpoint, Error, Result};

/// All checkpoints in the directory, complete or not, in order of steps.
pub(crate) fn list(output_dir: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let mut found = scan(output_dir, |name| name.strip_prefix("checkpoint-")?.parse().ok())?;
    found.sort();
    Ok(found)
}

/// The last complete checkpoint in the directory. Incomplete and damaged ones are named and skipped.
pub(crate) fn last_complete(output_dir: &Path) -> Result<Option<Checkpoint>> {
    for (_, path) in list(output_dir)?.into_iter().rev() {
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) => tracing::warn!("skipping a checkpoint: {error}"),
        }
    }
    Ok(None)
}

/// Tidies up after a process that was killed while it saved: a checkpoint that was complete but not yet
/// in its place is put there, a partial one removed.
pub(crate) fn recover(output_dir: &Path) -> Result<()> {
    let partial =
        scan(output_dir, |name| name.strip_prefix(".checkpoint-")?.strip_suffix(".tmp")?.parse().ok())?;
    for (step, temporary) in partial {
        let place = output_dir.join(name(step));
        if Manifest::verified(&temporary).is_ok() && Manifest::verified(&place).is_err() {
            publish(&temporary, &place)?;
        } else {
            tracing::warn!("removing {}, which was not finished", temporary.display());
            remove_dir(&temporary)?;
        }
    }
    Ok(())
}

/// Removes the oldest checkpoints until `limit` are left; never the newest nor that of step `best`.
pub(crate) fn rotate(output_dir: &Path, limit: usize, best: Option<usize>) -> Result<()> {
    let all = list(output_dir)?;
    let newest = all.last().map(|(step, _)| *step);
    let mut excess = all.len().saturating_sub(limit);
    for (step, path) in all {
        if excess == 0 {
            break;
        }
        if Some(step) != newest && Some(step) != best {
            remove_dir(&path)?;
            excess -= 1;
        }
    }
    Ok(())
}

fn scan(dir: &Path, step: impl Fn(&str) -> Option<usize>) -> Result<Vec<(usize, PathBuf)>> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).map_err(Error::io(dir))? {
        let item = item.map_err(Error::io(dir))?;
        if let Some(step) = item.file_name().to_str().and_then(&step) {
            found.push((step, item.path()));
        }
    }
    Ok(found)
}
