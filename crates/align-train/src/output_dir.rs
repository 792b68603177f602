//! Opening an output directory: a new one, or the one of the run that is resumed. Never silently that of
//! another run.

use std::fs;
use std::path::Path;

use crate::checkpoint::remove_dir;
use crate::checkpoints::{last_complete, list, recover};
use crate::{Checkpoint, Error, Result, Resume};

pub(crate) const METRICS: &str = "metrics.jsonl";
pub(crate) const TRAINER_STATE: &str = "trainer_state.json";
pub(crate) const TENSORBOARD: &str = "runs";

/// Makes the directory ready and finds the checkpoint to start from, if one is asked for.
pub(crate) fn open(dir: &Path, overwrite: bool, resume: &Resume) -> Result<Option<Checkpoint>> {
    match resume {
        Resume::No => create(dir, overwrite).map(|()| None),
        Resume::Last if !dir.is_dir() => {
            Err(Error::output_dir(dir, "there is no such directory to resume from; check output_dir"))
        }
        Resume::Last => {
            recover(dir)?;
            let problem = "has no complete checkpoint to resume from; start without resume_from_checkpoint";
            last_complete(dir)?.ok_or_else(|| Error::output_dir(dir, problem)).map(Some)
        }
        Resume::From(path) => {
            let checkpoint = Checkpoint::open(path)?;
            let parent = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
            if parent.is_some() && parent == dir.canonicalize().ok() {
                recover(dir)?;
                refuse_later(dir, &checkpoint)?;
            } else {
                create(dir, overwrite)?;
            }
            Ok(Some(checkpoint))
        }
    }
}

fn create(dir: &Path, overwrite: bool) -> Result<()> {
    fs::create_dir_all(dir).map_err(|error| Error::output_dir(dir, format!("cannot be created: {error}")))?;
    let mut items = fs::read_dir(dir).map_err(Error::io(dir))?;
    if items.next().is_none() {
        return Ok(());
    }
    if overwrite {
        return clear(dir);
    }
    Err(Error::output_dir(
        dir,
        "is not empty; choose another output_dir, go on with resume_from_checkpoint, or give overwrite_output_dir",
    ))
}

/// Removes what this crate writes, and nothing else.
fn clear(dir: &Path) -> Result<()> {
    recover(dir)?;
    for (_, checkpoint) in list(dir)? {
        remove_dir(&checkpoint)?;
    }
    remove_dir(&dir.join(TENSORBOARD))?;
    for name in [METRICS, TRAINER_STATE] {
        match fs::remove_file(dir.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(dir)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Two histories in one directory would be mixed up: `last` would find the checkpoints of the one that is
/// being given up.
fn refuse_later(dir: &Path, from: &Checkpoint) -> Result<()> {
    match list(dir)?
        .iter()
        .filter(|(step, _)| *step > from.step())
        .find(|(_, path)| Checkpoint::open(path).is_ok())
    {
        None => Ok(()),
        Some((_, later)) => Err(Error::checkpoint(
            later,
            format!(
                "is later than the checkpoint to resume from, {}; move or delete it, or choose another output_dir",
                from.path().display()
            ),
        )),
    }
}
