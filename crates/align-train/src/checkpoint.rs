//! One checkpoint: `checkpoint-<step>/`, complete or not there.
//!
//! It is written beside its place, synced to disk, given its manifest and only then moved there. A process that is killed
//! at any point leaves the checkpoints before it as they were. What the manifest does not list is not part of it: nothing
//! here reads such a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use align_files::{OutputDir, sync_tree, write_json};
use align_kernels::Params;
use candle_core::Device;
use serde::de::DeserializeOwned;

use crate::manifest::{MANIFEST, Manifest};
use crate::{Error, Layout, Result, checkpoints};

const OPTIMIZER: &str = "optimizer.safetensors";

/// A complete checkpoint on disk whose files are what was saved.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    manifest: Arc<Manifest>,
}

impl Checkpoint {
    /// Opens a checkpoint and verifies every file against its manifest.
    ///
    /// # Errors
    /// If there is none, or it is incomplete or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { path: path.to_owned(), manifest: Arc::new(Manifest::verified(path)?) })
    }

    /// The same without a look into its files: for who knows that they were just written.
    pub(crate) fn listed(path: &Path) -> Result<Self> {
        let unseen = |error| {
            let problem = format!(
                "was written by the first rank and cannot be read here ({error}): ranks need an output \
                                   directory that all of them see"
            );
            Error::checkpoint(path, problem)
        };
        Ok(Self { path: path.to_owned(), manifest: Arc::new(Manifest::complete(path).map_err(unseen)?) })
    }

    /// The last complete checkpoint of a run, by the run's directory.
    ///
    /// # Errors
    /// A run without one; a directory that cannot be read.
    pub fn last_of(run: &Path) -> Result<Self> {
        checkpoints::last_complete(run)?.ok_or_else(|| {
            let problem =
                "has no complete checkpoint to resume from; start without `--resume-from-checkpoint`";
            Error::output_dir(run, problem)
        })
    }

    /// Whether the directory is a run's, with checkpoints in it, rather than one of a checkpoint.
    pub fn are_in(directory: &Path) -> bool {
        let is_checkpoint = checkpoints::step_of(directory).is_some() || directory.join(MANIFEST).exists();
        !is_checkpoint && checkpoints::any(directory)
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of updates behind it.
    pub fn step(&self) -> usize {
        self.manifest.step
    }

    /// Tells it from all others, wherever it is moved to: a hash of its content.
    pub fn id(&self) -> String {
        self.manifest.id()
    }

    /// Reads a JSON file of the checkpoint.
    ///
    /// # Errors
    /// If it is not part of the checkpoint, or holds something else.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.file(name)?;
        let json = fs::read(&path).map_err(Error::io(&path))?;
        serde_json::from_slice(&json)
            .map_err(|error| Error::checkpoint(&path, format!("cannot be read: {error}")))
    }

    /// A folder of the checkpoint, if it has one of this name.
    ///
    /// # Errors
    /// A file in it that is not part of the checkpoint: whoever reads the folder might take it for one.
    pub fn folder(&self, name: &str) -> Result<Option<PathBuf>> {
        let path = self.path.join(name);
        if !self.manifest.files().any(|file| file.starts_with(&format!("{name}/"))) {
            return Ok(None);
        }
        match self.manifest.unlisted_in(&self.path, name)? {
            None => Ok(Some(path)),
            Some(file) => Err(Error::checkpoint(
                &self.path.join(file),
                "is not part of the checkpoint, which does not list it; remove it",
            )),
        }
    }

    /// Writes `checkpoint-<step>` in the output directory with what `write` puts into the directory it is
    /// given. A checkpoint of that step that is there already is replaced.
    pub(crate) fn write(
        output: &OutputDir,
        step: usize,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let name = name(step);
        let scratch = output.scratch(&name)?;
        write(scratch.path())?;
        let manifest = Manifest::of(scratch.path(), step)?;
        write_json(scratch.path().join(MANIFEST), &manifest)?;
        sync_tree(scratch.path())?;
        output.place(scratch, &name, &manifest.with_itself())?;
        Ok(Self { path: output.path().join(name), manifest: Arc::new(manifest) })
    }

    pub(crate) fn save_optimizer(dir: &Path, save: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let path = dir.join(OPTIMIZER);
        // safetensors makes the file anew and for its owner only; a checkpoint is as readable as any file.
        let new = File::create(&path).and_then(|file| file.metadata()).map_err(Error::io(&path))?;
        save(&path).map_err(|error| Error::checkpoint(&path, format!("cannot be written: {error}")))?;
        fs::set_permissions(&path, new.permissions()).map_err(Error::io(&path))
    }

    pub(crate) fn optimizer_file(&self) -> Result<PathBuf> {
        self.file(OPTIMIZER)
    }

    /// Overwrites the parameters with the tensors of their names in the checkpoint's model files
    /// (`*.safetensors`, one or several); the layout says which tensors hold others.
    pub(crate) fn load_weights(&self, params: &Params, layout: &Layout) -> Result<()> {
        let mut missing: Vec<&str> = params.iter().map(|(name, _)| name).collect();
        let models = self
            .manifest
            .files()
            .filter(|file| file.ends_with(".safetensors") && *file != OPTIMIZER && !file.contains('/'));
        for file in models.map(|name| self.path.join(name)) {
            let unreadable = |error| Error::checkpoint(&file, format!("cannot be read: {error}"));
            let stored = candle_core::safetensors::load(&file, &Device::Cpu).map_err(unreadable)?;
            let parts = stored.into_iter().map(|(name, tensor)| layout.parts(name, tensor));
            for (name, tensor) in parts.collect::<candle_core::Result<Vec<_>>>()?.into_iter().flatten() {
                let Some(param) = params.get(&name) else { continue };
                let (expected, found) = (param.tensor(), &tensor);
                if expected.shape() != found.shape() || expected.dtype() != found.dtype() {
                    let problem = format!(
                        "`{name}`: expected {:?} {:?}, found {:?} {:?}",
                        expected.dtype(),
                        expected.dims(),
                        found.dtype(),
                        found.dims()
                    );
                    return Err(Error::checkpoint(&file, problem));
                }
                param.set(&tensor.to_device(param.device())?)?;
                missing.retain(|&other| other != name);
            }
        }
        match missing.as_slice() {
            [] => Ok(()),
            [first, ..] => {
                let problem = format!("has no weights for {} parameters, such as {first}", missing.len());
                Err(Error::checkpoint(&self.path, problem))
            }
        }
    }

    fn file(&self, name: &str) -> Result<PathBuf> {
        if self.manifest.files().any(|file| file == name) {
            return Ok(self.path.join(name));
        }
        Err(Error::checkpoint(&self.path, format!("has no {name}; expected a checkpoint of this program")))
    }
}

pub(crate) fn name(step: usize) -> String {
    format!("checkpoint-{step}")
}
