//! A checkpoint that another one speaks of. Which it was is noted; where it is has to be found: directories are moved, and
//! another run may be under the path that it had.

use std::path::Path;

use align_files::{Resume, Use};
use serde::{Deserialize, Serialize};

use crate::{Checkpoint, Error, Result, checkpoint, checkpoints};

/// A note that finds a checkpoint again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// The number of updates behind it.
    pub step: usize,
    /// The checkpoint's identity, as [`Checkpoint::id`]; none in notes of versions that had none.
    pub id: Option<String>,
}

impl Noted {
    /// A note that finds this checkpoint again.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        Self { step: checkpoint.step(), id: Some(checkpoint.id()) }
    }

    /// A note made of a path alone, which is all that earlier versions noted; none if the path is not a
    /// checkpoint's.
    pub fn by_path(path: &Path) -> Option<Self> {
        checkpoints::step_of(path).map(|step| Self { step, id: None })
    }

    /// Finds the checkpoint for a run that is resumed from `resumed`: in the run's own directory, which is taken for this kind
    /// of use; beside the checkpoint that it is resumed from; or where it `was`. What the run removes when it begins does not
    /// count.
    ///
    /// # Errors
    /// If it is in none of these places, with what was found there; `what` it is for.
    pub fn find(
        &self,
        (directory, kind): (&Path, Use),
        resumed: &Checkpoint,
        was: &Path,
        what: &str,
    ) -> Result<Checkpoint> {
        if resumed.step() == self.step && self.id.as_ref().is_none_or(|id| *id == resumed.id()) {
            return Ok(resumed.clone());
        }
        let name = checkpoint::name(self.step);
        let mut places = vec![directory.join(&name), Resume::run_of(resumed.path()).join(&name)];
        // A path alone could lead to any run.
        places.extend(self.id.is_some().then(|| was.to_owned()));
        let mut problems = Vec::new();
        for place in places
            .into_iter()
            .filter(|place| place.is_dir() && !(kind == Use::Replaces && is_inside(place, directory)))
        {
            match Checkpoint::open(&place) {
                Ok(found)
                    if found.step() == self.step && self.id.as_ref().is_none_or(|id| *id == found.id()) =>
                {
                    return Ok(found);
                }
                Ok(_) => problems.push(format!("{} is of another run", place.display())),
                Err(error) => problems.push(error.to_string()),
            }
        }
        problems.dedup();
        let found = if problems.is_empty() { String::new() } else { format!(" ({})", problems.join("; ")) };
        let beside = Resume::run_of(resumed.path());
        Err(Error::checkpoint(
            resumed.path(),
            format!(
                "speaks of {name} of its run, {what}, which is neither in {} nor in {}{found}; put it back beside the \
                 checkpoint to resume from",
                directory.display(),
                beside.display()
            ),
        ))
    }
}

fn is_inside(place: &Path, directory: &Path) -> bool {
    match (place.canonicalize(), directory.canonicalize()) {
        (Ok(place), Ok(directory)) => place.starts_with(directory),
        _ => true,
    }
}
