//! The checkpoints in an output directory: finding the one to start from, tidying up after a kill, removing the oldest.
//!
//! What is called `checkpoint-<step>` counts if it is a directory whose manifest is there and whose files are as many and
//! as large as it says. Everything else of such a name is damaged, which is set aside, or somebody else's, which is refused
//! where it would be in the way and left alone where it would not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use align_files::{OutputDir, Resume, Use};

use crate::checkpoint::name;
use crate::manifest::{MANIFEST, Manifest};
use crate::{Checkpoint, Error, Result};

/// The checkpoint that a run in `directory`, which is taken for this `kind` of use, starts from. Looks only. Later ones of
/// the run that goes on are refused if they could be gone on from as well.
pub(crate) fn start(directory: &Path, kind: Use, resume: &Resume) -> Result<Option<Checkpoint>> {
    let checkpoint = match resume {
        Resume::No => return Ok(None),
        Resume::Last => last_complete(directory)?.ok_or_else(|| nothing_to_resume(directory))?,
        Resume::From(path) => Checkpoint::open(path)?,
    };
    if kind == Use::Continues {
        refuse_later(directory, &checkpoint)?;
    }
    Ok(Some(checkpoint))
}

/// Fails if something that no run wrote has the name of a checkpoint that a run which stands at step `from` may write: that
/// of the step itself is among them.
pub(crate) fn refuse_foreign(output: &OutputDir, from: usize) -> Result<()> {
    for (step, path) in list(output.path())? {
        let is_ours = || path.is_dir() && path.join(MANIFEST).is_file() && output.kind() == Use::Continues;
        if step >= from && !is_ours() && output.foreign_in(&name(step))?.is_some() {
            let problem =
                "is in the way of a checkpoint, and no run wrote it; move it, or choose another output_dir";
            return Err(Error::checkpoint(&path, problem));
        }
    }
    Ok(())
}

/// Gives checkpoints beyond step `from`, all of which are damaged, another name, so that neither `last` nor the limit on
/// how many are kept ever meets them; and takes the complete ones for the run's own.
pub(crate) fn set_aside_damaged(output: &OutputDir, from: usize) -> Result<()> {
    for (step, path) in list(output.path())? {
        if step > from {
            let free = |number: usize| path.with_added_extension(format!("damaged{}", suffix(number)));
            let place = (1..).map(free).find(|place| place.symlink_metadata().is_err()).expect("one is free");
            tracing::warn!("{} is damaged; it is {} from now on", path.display(), place.display());
            fs::rename(&path, place).map_err(Error::io(&path))?;
        } else if let Ok(manifest) = Manifest::complete(&path) {
            let files = manifest.with_itself();
            output.adopt(files.iter().map(|file| format!("{}/{file}", name(step))))?;
        }
    }
    Ok(())
}

/// The step that a checkpoint's name says; `checkpoint-03` and `checkpoint-+3` are no names of ours.
pub(crate) fn step_of(checkpoint: &Path) -> Option<usize> {
    let found = checkpoint.file_name()?.to_str()?;
    found.strip_prefix("checkpoint-")?.parse().ok().filter(|step| found == name(*step))
}

fn suffix(number: usize) -> String {
    if number == 1 { String::new() } else { format!("-{number}") }
}

/// Removes the oldest complete checkpoints until `limit` are left; never the newest nor those of the steps to `keep`.
pub(crate) fn rotate(output: &OutputDir, limit: usize, keep: &BTreeSet<usize>) -> Result<()> {
    let complete: Vec<(usize, PathBuf)> =
        list(output.path())?.into_iter().filter(|(_, path)| Manifest::complete(path).is_ok()).collect();
    let newest = complete.last().map(|(step, _)| *step);
    let mut excess = complete.len().saturating_sub(limit);
    for (step, path) in complete {
        if excess == 0 {
            break;
        }
        if Some(step) == newest || keep.contains(&step) {
            continue;
        }
        match output.foreign_in(&name(step))? {
            Some(file) => tracing::warn!("{} stays: no run wrote {file} in it", path.display()),
            None => output.remove_tree(&name(step))?,
        }
        excess -= 1;
    }
    Ok(())
}

/// Everything that is called as a checkpoint is, in order of steps.
fn list(dir: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let mut found = Vec::new();
    for item in fs::read_dir(dir).map_err(Error::io(dir))? {
        let item = item.map_err(Error::io(dir))?;
        found.extend(step_of(&item.path()).map(|step| (step, item.path())));
    }
    found.sort();
    Ok(found)
}

/// What to do where no checkpoint is: a run that was stopped before its first one can only begin again.
fn nothing_to_resume(directory: &Path) -> Error {
    let instead = match OutputDir::is_noted(directory) {
        true => "begin again with `--overwrite-output-dir` in place of `--resume-from-checkpoint`",
        false => "start without `--resume-from-checkpoint`",
    };
    Error::output_dir(directory, format!("has no complete checkpoint to resume from; {instead}"))
}

/// Whether something in the directory is called as a checkpoint is.
pub(crate) fn any(directory: &Path) -> bool {
    list(directory).is_ok_and(|found| !found.is_empty())
}

/// The last complete checkpoint in the directory. Incomplete and damaged ones are named and skipped.
pub(crate) fn last_complete(directory: &Path) -> Result<Option<Checkpoint>> {
    for (_, path) in list(directory)?.into_iter().rev() {
        match Checkpoint::open(&path) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) => tracing::warn!("skipping a checkpoint: {error}"),
        }
    }
    Ok(None)
}

/// Tidies up after a process that was killed while it saved: a checkpoint that was complete but not yet
/// in its place is put there, a partial one removed.
pub(crate) fn recover(output: &OutputDir) -> Result<()> {
    if output.kind() != Use::Continues {
        return Ok(());
    }
    for (name, leftover) in output.leftovers()? {
        let place = output.path().join(&name);
        match Manifest::verified(&leftover) {
            Ok(manifest) if Manifest::verified(&place).is_err() => {
                output.place_leftover(&leftover, &name, &manifest.with_itself())?;
            }
            _ => {
                tracing::warn!("removing {}, which was not finished", leftover.display());
                let is_dir = leftover.symlink_metadata().is_ok_and(|found| found.is_dir());
                let removed = if is_dir { fs::remove_dir_all(&leftover) } else { fs::remove_file(&leftover) };
                removed.map_err(Error::io(&leftover))?;
            }
        }
    }
    Ok(())
}

/// Two histories in one directory would be mixed up: `last` would find the checkpoints of the one that is
/// being given up.
fn refuse_later(directory: &Path, from: &Checkpoint) -> Result<()> {
    let later = list(directory)?.into_iter().filter(|(step, _)| *step > from.step());
    match later.map(|(_, path)| path).find(|path| Checkpoint::open(path).is_ok()) {
        None => Ok(()),
        Some(later) => Err(Error::checkpoint(
            &later,
            format!(
                "is later than the checkpoint to resume from, {}; move or delete it, or choose another output_dir",
                from.path().display()
            ),
        )),
    }
}
