//! One run of a training binary: its directory, its device, and the moment at which work begins.
//!
//! Opening a session only looks. A mistake in the data or the model is therefore found before anything
//! exists on disk. [`Session::create_output_dir`] makes the directory; [`Session::training_starts`] writes
//! the options into it. A session that ends between the two, because the checkpoint to resume from is
//! refused, takes back the directories it made and leaves an earlier run as it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use candle_core::Device;

use crate::device::DeviceError;
use crate::options::{CommonOptions, OutputOptions};
use crate::report;
use crate::run::Invocation;

/// Name of the file in the output directory that repeats the run when given to `--config`.
pub const SETTINGS_FILE: &str = "training_args.toml";

/// A run that has been checked and not yet begun, or has begun.
#[derive(Debug)]
pub struct Session<'a> {
    invocation: &'a Invocation,
    /// Where to compute.
    pub device: Device,
    /// Seed of every random choice.
    pub seed: u64,
    /// Stop before the first step and write nothing.
    pub dry_run: bool,
    place: Place,
    output_dir: OnceLock<PathBuf>,
    /// The directories that were made for it, the outermost first.
    made: OnceLock<Vec<PathBuf>>,
}

/// Where the output will be.
#[derive(Debug)]
enum Place {
    /// A directory by name, which must be empty unless it `may_be_occupied`.
    Named { directory: PathBuf, may_be_occupied: bool },
    /// The next free number below `runs/`.
    Numbered { parent: PathBuf, stage: &'static str },
}

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The output directory already holds something.
    #[error(
        "output_dir {}: not empty, it may hold another run; name a new directory, continue that run with \
         `--resume-from-checkpoint`, or replace it with `--overwrite-output-dir`", .0.display()
    )]
    Occupied(PathBuf),
    /// The output directory cannot be written.
    #[error("output_dir {}: cannot write there: {source}", .directory.display())]
    Unwritable {
        /// The directory.
        directory: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Overwriting could remove the model that is to be trained.
    #[error(
        "output_dir {}: holds the model {model}, which `--overwrite-output-dir` could remove; name \
         another directory", .directory.display()
    )]
    ModelInside {
        /// The directory.
        directory: PathBuf,
        /// The model as the user named it.
        model: String,
    },
    /// `--resume-from-checkpoint` without a path leaves open which run is meant.
    #[error("resume_from_checkpoint: {} is not a directory; name it, or name the run with `--output-dir`", .0.display())]
    NothingToResume(PathBuf),
    /// Training was started in a dry run.
    #[error("a dry run ends before training starts; this is a bug in the program")]
    DryRun,
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl<'a> Session<'a> {
    /// Checks the output directory and opens the device; writes nothing.
    ///
    /// `resume` is the checkpoint to continue from, if any, or a word such as `last`. The run of the
    /// checkpoint is the output directory unless another is named, and only that run may be continued in
    /// place: a checkpoint of another run begins a new one, whose directory must be free.
    ///
    /// # Errors
    /// An output directory that is occupied or cannot be written; a device that is not there.
    pub fn open(
        invocation: &'a Invocation,
        common: &CommonOptions,
        output: &OutputOptions,
        resume: Option<&Path>,
    ) -> Result<Self, SessionError> {
        let place = place(invocation, common, output, resume)?;
        Ok(Self {
            invocation,
            device: common.device.open()?,
            seed: common.seed,
            dry_run: output.dry_run,
            place,
            output_dir: OnceLock::new(),
            made: OnceLock::new(),
        })
    }

    /// `dpo`, `sft`, …
    pub fn stage(&self) -> &'static str {
        self.invocation.program.stage()
    }

    /// Makes the output directory; later calls return the same one. What an earlier run left in it is not
    /// touched here: each component removes what it writes, and may, because the directory is either free
    /// or the user gave it away.
    ///
    /// # Errors
    /// If the directory cannot be made; in a dry run.
    pub fn create_output_dir(&self) -> Result<&Path, SessionError> {
        if self.dry_run {
            return Err(SessionError::DryRun);
        }
        if self.output_dir.get().is_none() {
            let mut missing = self.place.missing();
            let directory = self.place.make()?;
            if let Place::Numbered { .. } = self.place {
                missing.push(directory.clone());
            }
            let _ = self.made.set(missing);
            let _ = self.output_dir.set(directory);
        }
        Ok(self.output_dir.get().expect("set above"))
    }

    /// Work begins: until now a failure was bad input (exit code 2), from here on it is a failure of
    /// training (1). Makes the output directory if [`Self::create_output_dir`] has not, and writes
    /// [`SETTINGS_FILE`] into it.
    ///
    /// # Errors
    /// As [`Self::create_output_dir`]; if the file cannot be written.
    pub fn training_starts(&self) -> Result<&Path, SessionError> {
        let directory = self.create_output_dir()?;
        report::write_atomically(&directory.join(SETTINGS_FILE), self.invocation.settings.as_bytes())
            .map_err(|source| SessionError::Unwritable { directory: directory.to_owned(), source })?;
        self.invocation.work_starts();
        Ok(directory)
    }

    /// The output directory, once it has been made.
    pub fn output_dir(&self) -> Option<&Path> {
        self.output_dir.get().map(PathBuf::as_path)
    }
}

/// Of a session whose training never started nothing stays behind.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.invocation.has_work_started() {
            // Only empty directories can be removed this way; one that has been filled is no longer ours.
            let made = self.made.get().into_iter().flatten().rev();
            let _ = made.map(fs::remove_dir).take_while(Result::is_ok).count();
        }
    }
}

fn place(
    invocation: &Invocation,
    common: &CommonOptions,
    output: &OutputOptions,
    resume: Option<&Path>,
) -> Result<Place, SessionError> {
    let named = match (&output.output_dir, resume) {
        (Some(directory), _) => Some(directory.clone()),
        (None, Some(checkpoint)) => Some(run_of(checkpoint)?),
        (None, None) => None,
    };
    let Some(directory) = named else {
        let parent = PathBuf::from("runs");
        check_writable(&parent)?;
        return Ok(Place::Numbered { parent, stage: invocation.program.stage() });
    };
    check_writable(&directory)?;
    let continues = resume.is_some_and(|checkpoint| continues(checkpoint, &directory));
    let may_be_occupied = continues || output.overwrite_output_dir;
    if !may_be_occupied && is_occupied(&directory) {
        return Err(SessionError::Occupied(directory));
    }
    if !continues && is_inside(Path::new(&common.model_name_or_path), &directory) {
        return Err(SessionError::ModelInside { directory, model: common.model_name_or_path.clone() });
    }
    Ok(Place::Named { directory, may_be_occupied })
}

fn is_occupied(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// Whether resuming goes on in `directory`: from one of its checkpoints, or from whichever is its last.
fn continues(checkpoint: &Path, directory: &Path) -> bool {
    match (checkpoint.canonicalize(), directory.canonicalize()) {
        (Ok(checkpoint), Ok(directory)) => checkpoint.parent() == Some(&directory),
        (Err(_), Ok(_)) => true,
        (_, Err(_)) => false,
    }
}

/// The run that a checkpoint belongs to: the directory around it.
fn run_of(checkpoint: &Path) -> Result<PathBuf, SessionError> {
    let absolute = checkpoint.canonicalize().ok().filter(|path| path.is_dir());
    let Some(absolute) = absolute else {
        return Err(SessionError::NothingToResume(checkpoint.to_owned()));
    };
    // Prefer the spelling of the user, which is shorter and relative where theirs was.
    let parent = checkpoint.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok(parent.or_else(|| absolute.parent()).unwrap_or(Path::new("/")).to_owned())
}

fn is_inside(path: &Path, directory: &Path) -> bool {
    match (path.canonicalize(), directory.canonicalize()) {
        (Ok(path), Ok(directory)) => path.starts_with(directory),
        _ => false,
    }
}

/// Tries to create a file in the directory, or in the nearest one above that exists. The file is
/// anonymous where the system can do that, and gone at once elsewhere.
fn check_writable(directory: &Path) -> Result<(), SessionError> {
    let unwritable = |source| SessionError::Unwritable { directory: directory.to_owned(), source };
    let mut existing = directory;
    while !existing.exists() {
        existing = match existing.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
    }
    if !existing.is_dir() {
        let message = format!("{} is a file", existing.display());
        return Err(unwritable(io::Error::new(io::ErrorKind::NotADirectory, message)));
    }
    tempfile::tempfile_in(existing).map(drop).map_err(unwritable)
}

impl Place {
    /// The directories that making it by name, or making its parent, will bring about, the outermost first.
    fn missing(&self) -> Vec<PathBuf> {
        let (Self::Named { directory, .. } | Self::Numbered { parent: directory, .. }) = self;
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let mut missing: Vec<_> = directory.ancestors().take_while(missing).map(Path::to_owned).collect();
        missing.reverse();
        missing
    }

    fn make(&self) -> Result<PathBuf, SessionError> {
        match self {
            Self::Named { directory, may_be_occupied } => {
                // Once more, for another run may have taken it while this one read its data.
                if !may_be_occupied && is_occupied(directory) {
                    return Err(SessionError::Occupied(directory.clone()));
                }
                fs::create_dir_all(directory)
                    .map_err(|source| SessionError::Unwritable { directory: directory.clone(), source })?;
                Ok(directory.clone())
            }
            Self::Numbered { parent, stage } => next_numbered(parent, stage)
                .map_err(|source| SessionError::Unwritable { directory: parent.clone(), source }),
        }
    }
}

/// Creates `parent/stage-N` for the first N above all that exist. Creating a directory either makes it
/// or fails, so of two runs at the same moment one moves on to the next number.
fn next_numbered(parent: &Path, stage: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(parent)?;
    let number = |name: &str| name.strip_prefix(stage)?.strip_prefix('-')?.parse::<u64>().ok();
    let mut last = 0;
    for entry in fs::read_dir(parent)? {
        last = last.max(entry?.file_name().to_str().and_then(number).unwrap_or(0));
    }
    loop {
        last += 1;
        let directory = parent.join(format!("{stage}-{last}"));
        match fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_above_the_highest() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("runs");
        let next = || next_numbered(&parent, "dpo").unwrap().file_name().unwrap().to_owned();
        assert_eq!(next(), "dpo-1");
        fs::create_dir(parent.join("dpo-7")).unwrap();
        fs::create_dir(parent.join("sft-9")).unwrap();
        fs::create_dir(parent.join("dpo-last")).unwrap();
        assert_eq!(next(), "dpo-8");
    }

    #[test]
    fn runs_that_begin_at_once_get_different_directories() {
        let dir = tempfile::tempdir().unwrap();
        let directories: std::collections::BTreeSet<_> = std::thread::scope(|scope| {
            let make = || scope.spawn(|| next_numbered(dir.path(), "sft").unwrap());
            let runs: Vec<_> = (0..16).map(|_| make()).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert_eq!(directories.len(), 16);
    }
}
