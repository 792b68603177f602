//! One checkpoint: `checkpoint-<step>/`, complete or not there.
//!
//! It is written under a temporary name beside its place, synced to disk, given its manifest and only then
//! renamed. A process that is killed at any point leaves the checkpoints before it as they were.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use align_kernels::Params;
use candle_core::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::manifest::{MANIFEST, Manifest};
use crate::{Error, Result};

const OPTIMIZER: &str = "optimizer.safetensors";

/// A complete checkpoint on disk whose files are what was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    path: PathBuf,
    step: usize,
}

impl Checkpoint {
    /// Opens a checkpoint and verifies every file against its manifest.
    ///
    /// # Errors
    /// If there is none, or it is incomplete or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let manifest = Manifest::verified(path)?;
        Ok(Self { path: path.to_owned(), step: manifest.step })
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of updates behind it.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Writes `checkpoint-<step>` in the output directory with what `write` puts into the directory it is
    /// given. A checkpoint of that step that is there already is replaced.
    pub(crate) fn write(
        output_dir: &Path,
        step: usize,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let temporary = output_dir.join(temporary_name(step));
        remove_dir(&temporary)?;
        fs::create_dir_all(&temporary).map_err(Error::io(&temporary))?;
        write(&temporary)?;
        sync(&temporary)?;
        write_json(&temporary.join(MANIFEST), &Manifest::of(&temporary, step)?)?;
        sync_file(&temporary.join(MANIFEST))?;
        sync_file(&temporary)?;
        publish(&temporary, &output_dir.join(name(step)))?;
        Ok(Self { path: output_dir.join(name(step)), step })
    }

    pub(crate) fn save_optimizer(dir: &Path, save: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let path = dir.join(OPTIMIZER);
        // safetensors makes the file anew and for its owner only; a checkpoint is as readable as any file.
        let new = File::create(&path).and_then(|file| file.metadata()).map_err(Error::io(&path))?;
        save(&path)?;
        fs::set_permissions(&path, new.permissions()).map_err(Error::io(&path))
    }

    pub(crate) fn optimizer_file(&self) -> PathBuf {
        self.path.join(OPTIMIZER)
    }

    /// Overwrites the parameters with the tensors of their names in the checkpoint's model files
    /// (`*.safetensors`, one or several).
    pub(crate) fn load_weights(&self, params: &Params) -> Result<()> {
        let mut missing: Vec<&str> = params.iter().map(|(name, _)| name).collect();
        for file in self.model_files()? {
            for (name, tensor) in candle_core::safetensors::load(&file, &Device::Cpu)? {
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
            names => Err(Error::checkpoint(&self.path, format!("has no weights for {}", names.join(", ")))),
        }
    }

    fn model_files(&self) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for item in fs::read_dir(&self.path).map_err(Error::io(&self.path))? {
            let path = item.map_err(Error::io(&self.path))?.path();
            let safetensors = path.extension().is_some_and(|extension| extension == "safetensors");
            if safetensors && path.file_name().is_some_and(|name| name != OPTIMIZER) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    pub(crate) fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let path = self.path.join(name);
        let json = fs::read(&path).map_err(Error::io(&path))?;
        serde_json::from_slice(&json)
            .map_err(|error| Error::checkpoint(&path, format!("cannot be read: {error}")))
    }
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut json = serde_json::to_vec_pretty(value).map_err(Error::stage)?;
    json.push(b'\n');
    fs::write(path, json).map_err(Error::io(path))
}

pub(crate) fn name(step: usize) -> String {
    format!("checkpoint-{step}")
}

fn temporary_name(step: usize) -> String {
    format!(".checkpoint-{step}.tmp")
}

/// Moves a complete checkpoint to its place.
pub(crate) fn publish(temporary: &Path, place: &Path) -> Result<()> {
    remove_dir(place)?;
    fs::rename(temporary, place).map_err(Error::io(place))?;
    place.parent().map_or(Ok(()), sync_file)
}

pub(crate) fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(dir)(error)),
        _ => Ok(()),
    }
}

/// Syncs all files of a directory and of its folders.
fn sync(dir: &Path) -> Result<()> {
    for item in fs::read_dir(dir).map_err(Error::io(dir))? {
        let path = item.map_err(Error::io(dir))?.path();
        if path.is_dir() {
            sync(&path)?;
        }
        sync_file(&path)?;
    }
    Ok(())
}

/// Syncs a file, or the list of names in a directory.
fn sync_file(path: &Path) -> Result<()> {
    // Not every file system can sync a directory; where it cannot, the rename is still atomic.
    match File::open(path).and_then(|file| file.sync_all()) {
        Err(error) if path.is_file() => Err(Error::io(path)(error)),
        _ => Ok(()),
    }
}
