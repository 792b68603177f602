//! Where a run writes and computes, and the moment at which work begins.
//!
//! Opening a place only looks. A mistake in the data or the model is therefore found before anything
//! exists on disk. [`Place::create_output_dir`] takes the directory; [`Place::training_starts`] writes
//! the options into it. What may be done with a directory that exists is decided by [`OutputDir`] alone; here is
//! only which directory it is, and that nothing the run reads lies in one that is overwritten.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use align_files::{OutputDir, Resume, Use};
use align_hub::DeviceError;
use align_train::Checkpoint;
use candle_core::Device;

use crate::first_batch::FIRST_BATCH_FILE;
use crate::{Event, Host, ModelOptions, OutputOptions, Result};

/// Name of the file in the output directory that has all options of the run: given to `--config`, it repeats it.
pub const SETTINGS_FILE: &str = "training_args.toml";

/// Where runs without a name go, by number.
const RUNS: &str = "runs";

/// Folders that programs read files from: models and checkpoints directly, data sets from a folder in them too.
const DEEPEST: usize = 2;

/// The output directory, device and seed of a run that has been checked and not yet begun, or has begun.
pub struct Place<'a> {
    host: &'a Host<'a>,
    stage: &'static str,
    /// The device to compute on.
    pub device: Device,
    /// Seed of every random choice.
    pub seed: u64,
    /// A directory by name, and what it would be taken for; else the next free number below `runs/`.
    named: Option<(PathBuf, Use)>,
    overwrite: bool,
    resume: Resume,
    output: OnceLock<OutputDir>,
}

/// What an option names that may be a file: the option, and a text in its value.
pub(crate) type Named = (String, String);

/// The reason why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The output directory cannot be used.
    #[error("output_dir {0}")]
    OutputDir(#[from] align_files::Error),
    /// Overwriting could remove something that the run reads.
    #[error(
        "output_dir {}: holds {what}, which `--overwrite-output-dir` could remove; name another directory",
        .directory.display()
    )]
    Inside {
        /// The directory.
        directory: PathBuf,
        /// The thing that lies in it, as the user named it.
        what: String,
    },
    /// A run that goes on is not replaced.
    #[error("overwrite_output_dir: has no effect, the run in {} goes on (`--resume-from-checkpoint`); remove one of the two", .0.display())]
    NothingToOverwrite(PathBuf),
    /// `--resume-from-checkpoint` without a path leaves open which run is meant.
    #[error("resume_from_checkpoint: {} leaves open which run is meant; name its checkpoint, or the run with `--output-dir`", .0.display())]
    NothingToResume(PathBuf),
    /// The checkpoint to resume from is not there.
    #[error(
        "resume_from_checkpoint: {} is not a directory; name a checkpoint such as `RUN/checkpoint-100`, `RUN` for the last \
         one in it, or `last` for that in `--output-dir`", .0.display()
    )]
    NoCheckpoint(PathBuf),
    /// The run to resume has nothing to resume from, or it cannot be read.
    #[error("resume_from_checkpoint: {0}")]
    Checkpoint(align_train::Error),
    /// Training was started in a job that only looks.
    #[error("a dry run ends before training starts; this is a bug in the program")]
    DryRun,
    /// The device is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

impl<'a> Place<'a> {
    /// Checks the output directory and opens the device; writes nothing. `read` is what the options name.
    ///
    /// The run of the checkpoint to resume from is the output directory unless another is named, and only that run may be
    /// continued in place: a checkpoint of another run begins a new one, whose directory must be free.
    ///
    /// # Errors
    /// An output directory that is occupied, in use, cannot be written, or is to be overwritten and holds something that is
    /// `read`; a device that is not there.
    pub(crate) fn open(
        host: &'a Host<'a>,
        stage: &'static str,
        model: &ModelOptions,
        output: &OutputOptions,
        resume: &Resume,
        read: &[Named],
    ) -> Result<Self, PlaceError> {
        let (named, resume) = start(output.output_dir.as_deref(), resume)?;
        let named = match named {
            None => align_files::check_writable(Path::new(RUNS)).map(|()| None)?,
            // The first rank looks, for all.
            Some(directory) if !host.ranks.leads() => Some((directory, Use::New)),
            Some(directory) => {
                let kind = OutputDir::check(&directory, output.overwrite_output_dir, &resume)?;
                if kind == Use::Continues && output.overwrite_output_dir {
                    return Err(PlaceError::NothingToOverwrite(directory));
                }
                if kind == Use::Replaces {
                    refuse_inside(&directory, &model.model_name_or_path, host, read)?;
                }
                Some((directory, kind))
            }
        };
        Ok(Self {
            host,
            stage,
            device: model.device.open()?,
            seed: model.seed,
            named,
            overwrite: output.overwrite_output_dir,
            resume,
            output: OnceLock::new(),
        })
    }

    /// `dpo`, `sft`, …
    pub fn stage(&self) -> &'static str {
        self.stage
    }

    /// Where the run starts. A run in place of a checkpoint has become its last one.
    pub(crate) fn resume(&self) -> &Resume {
        &self.resume
    }

    /// Takes the output directory, which is made if it is not there; later calls return the same one. What an earlier run
    /// left in it is not touched until [`OutputDir::begin`].
    ///
    /// # Errors
    /// If the directory cannot be taken; in a job that only looks.
    pub fn create_output_dir(&self) -> Result<&OutputDir, PlaceError> {
        if !self.host.trains() {
            return Err(PlaceError::DryRun);
        }
        if self.output.get().is_none() {
            let output = match &self.named {
                Some((directory, _)) => OutputDir::take(directory, self.overwrite, &self.resume)?,
                None => OutputDir::numbered(RUNS, self.stage)?,
            };
            output.claim([SETTINGS_FILE, FIRST_BATCH_FILE])?;
            let _ = self.output.set(output);
        }
        Ok(self.output.get().expect("set above"))
    }

    /// Work begins: until now a failure was bad input and left everything as it was, from here on it is a failure of training.
    /// Takes the output directory if [`Self::create_output_dir`] has not, begins it, and writes `settings` into
    /// [`SETTINGS_FILE`] there.
    ///
    /// # Errors
    /// As [`Self::create_output_dir`] and [`OutputDir::begin`]; if the file cannot be written.
    pub(crate) fn training_starts(&self, settings: &str) -> Result<()> {
        let output = self.create_output_dir()?;
        self.host.tell(Event::Starts { output_dir: output.path() })?;
        output.begin()?;
        Ok(align_files::write(output.path().join(SETTINGS_FILE), settings)?)
    }

    /// The output directory by its name, if it has one, and what it would be taken for.
    pub fn named(&self) -> Option<(&Path, Use)> {
        self.named.as_ref().map(|(directory, kind)| (directory.as_path(), *kind))
    }

    /// The output directory, once it has been taken.
    pub fn output_dir(&self) -> Option<&Path> {
        self.output.get().map(OutputDir::path)
    }
}

/// The output directory, if it has a name, and where the run starts: a run that is named in place of a checkpoint means
/// its last one, and goes on where no other directory is named.
fn start(named: Option<&Path>, resume: &Resume) -> Result<(Option<PathBuf>, Resume), PlaceError> {
    let start = |directory: &Path, resume| Ok((Some(directory.to_owned()), resume));
    match (resume, named) {
        (Resume::From(path), _) if !path.is_dir() => Err(PlaceError::NoCheckpoint(path.clone())),
        (Resume::From(run), directory) if is_run(run) => match directory {
            Some(other) if !is_same(other, run) => {
                let last = Checkpoint::last_of(run).map_err(PlaceError::Checkpoint)?;
                start(other, Resume::From(last.path().to_owned()))
            }
            // What a kill has left of its last checkpoint is looked at too.
            own => start(own.unwrap_or(run), Resume::Last),
        },
        (Resume::From(checkpoint), None) => start(&Resume::run_of(checkpoint), resume.clone()),
        (Resume::Last, None) => Err(PlaceError::NothingToResume(PathBuf::from("last"))),
        (_, Some(directory)) => start(directory, resume.clone()),
        (Resume::No, None) => Ok((None, Resume::No)),
    }
}

/// Whether a run wrote to the directory: it has its options, or checkpoints.
fn is_run(directory: &Path) -> bool {
    directory.join(SETTINGS_FILE).is_file() || Checkpoint::are_in(directory)
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Refuses a directory to overwrite in which something lies that the job reads: the model, data, another model, a config
/// file. Every option that was given is looked at, so that one that is added is too.
fn refuse_inside(directory: &Path, model: &str, host: &Host<'_>, read: &[Named]) -> Result<(), PlaceError> {
    let also_read = host.also_read.iter().map(|(what, name)| (*what, name.as_str()));
    let read = read.iter().map(|(option, name)| (option.as_str(), name.as_str()));
    let mut all = [("the model", model)].into_iter().chain(also_read).chain(read);
    let found = all.find_map(|(what, name)| Some((what, name, inside(name, directory)?)));
    found.map_or(Ok(()), |(what, name, file)| {
        let through = if file == Path::new(name) { String::new() } else { format!(" ({})", file.display()) };
        Err(PlaceError::Inside { directory: directory.to_owned(), what: format!("{what} {name}{through}") })
    })
}

/// Below what an option names, the first that lies in the directory: itself, or where it is a folder a link in it.
fn inside(named: &str, directory: &Path) -> Option<PathBuf> {
    leads_into(Path::new(named), &directory.canonicalize().ok()?, DEEPEST)
}

fn leads_into(path: &Path, directory: &Path, depth: usize) -> Option<PathBuf> {
    let place = path.canonicalize().ok()?;
    if place.starts_with(directory) {
        return Some(path.to_owned());
    }
    // What is no folder, or none that may be read, has no entries.
    let entries = std::fs::read_dir(&place).ok().filter(|_| depth > 0)?;
    entries.flatten().find_map(|entry| {
        let kind = entry.file_type().ok()?;
        // The directory itself may lie in a folder that is read, and is no part of what is read there.
        let may_lead = kind.is_symlink() || (kind.is_dir() && !entry.path().starts_with(directory));
        may_lead.then(|| leads_into(&path.join(entry.file_name()), directory, depth - 1)).flatten()
    })
}

#[cfg(test)]
mod tests;
