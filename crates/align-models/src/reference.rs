//! The frozen reference of a preference or policy objective: a live model, or its log-probs computed
//! once and kept in a content-addressed file.
//!
//! The file's name is a hash of everything its numbers depend on: the reference's weights and config,
//! and the token ids of every sequence (which hold tokenizer, template and truncation). Another model,
//! template or row therefore never reads the wrong numbers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use align_kernels::{Blocks, Param, Params, Precision};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{CausalLm, DecoderConfig, Error, Result};

/// Values whose bytes are in memory beside them: few enough for a core's own cache.
const HASHED_AT_ONCE: usize = 16 << 10;

/// The reference model that the policy is compared with, run beside it or before training.
#[derive(Clone, Debug)]
pub enum Reference {
    /// A frozen model, run beside the policy on the same batch.
    Live(Box<CausalLm>),
    /// Log-probs of every sequence of a data set, computed before training.
    Precomputed(LogProbCache),
}

impl Reference {
    /// Log-probs `[sequences]` of sequences whose numbers in the whole data set are `numbers`: what
    /// `live` says of the model, or what it said before training. Carries no gradient.
    ///
    /// # Errors
    /// If a number is outside the precomputed data set; what `live` returns.
    pub fn log_probs(
        &self,
        numbers: &[usize],
        device: &Device,
        live: impl FnOnce(&CausalLm) -> candle_core::Result<Tensor>,
    ) -> Result<Tensor> {
        match self {
            Self::Live(model) => Ok(live(model)?.detach()),
            Self::Precomputed(cache) => cache.get(numbers, device),
        }
    }
}

/// The cache of reference log-probs: one per sequence of a data set, f32. Cloning shares them.
#[derive(Clone, Debug)]
pub struct LogProbCache(Arc<[f32]>);

/// The file that keeps the reference log-probs of a data set.
#[derive(Clone, Debug)]
pub struct LogProbFile {
    path: PathBuf,
    count: usize,
}

impl LogProbFile {
    /// The file for `sequences` in `dir`; `model` is [`weights_hash`] of the reference.
    pub fn of<'a>(
        dir: &Path,
        model: &str,
        sequences: impl IntoIterator<Item = (&'a [u32], &'a [u32])>,
    ) -> Self {
        let (key, count) = key(model, sequences);
        Self { path: dir.join(format!("{key}.safetensors")), count }
    }

    /// Where it is, or would be: its name is the hash of all that the log-probs depend on.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log-probs, if it is there and undamaged.
    pub fn read(&self) -> Option<Vec<f32>> {
        let log_probs = read(&self.path, self.count)?;
        tracing::info!("reference log-probs of {} sequences read from {}", self.count, self.path.display());
        Some(log_probs)
    }

    /// Keeps them.
    ///
    /// # Errors
    /// If they are not as many as sequences, or the file cannot be written.
    pub fn keep(&self, log_probs: &[f32]) -> Result<()> {
        let Self { path, count } = self;
        if log_probs.len() != *count {
            let computed = log_probs.len();
            return Err(Error::Config(format!("expected {count} reference log-probs, computed {computed}")));
        }
        write(path, log_probs)?;
        tracing::info!("reference log-probs of {count} sequences kept in {}", path.display());
        Ok(())
    }
}

impl From<Vec<f32>> for LogProbCache {
    fn from(log_probs: Vec<f32>) -> Self {
        Self(log_probs.into())
    }
}

impl LogProbCache {
    fn get(&self, numbers: &[usize], device: &Device) -> Result<Tensor> {
        let value = |&number: &usize| match self.0.get(number) {
            Some(value) => Ok(*value),
            None => {
                Err(Error::Config(format!("sequence {number} of {} has no reference log-prob", self.0.len())))
            }
        };
        let values = numbers.iter().map(value).collect::<Result<Vec<f32>>>()?;
        Ok(Tensor::new(values, device)?)
    }
}

/// A hash of a model's function: SHA-256 over its config and the hashes of all weights as f32, which all threads take.
///
/// It says which model something was made with. It is of what was loaded, not of files: the same weights in shards or in
/// another precision that holds them are the same model.
///
/// # Errors
/// If a weight cannot be read from its device.
pub fn weights_hash(config: &DecoderConfig, params: &Params) -> Result<String> {
    let blocks: Vec<_> = params.blocks().collect();
    let params: Vec<(&str, &Param)> = params.iter().collect();
    let hash = |(name, param): (&str, &Param)| {
        let mut hasher = Sha256::new();
        hasher.update(format!("{name} {:?}", param.tensor().shape()));
        let values = param.tensor().detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let mut bytes = Vec::with_capacity(4 * HASHED_AT_ONCE);
        for chunk in values.chunks(HASHED_AT_ONCE) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            hasher.update(&bytes);
        }
        Ok(hasher.finalize())
    };
    let hashes = params.into_par_iter().map(hash).collect::<Result<Vec<_>>>()?;
    let of_blocks = |(name, blocks): (&str, &Arc<dyn Blocks>)| {
        let mut hasher = Sha256::new();
        hasher.update(name);
        blocks.content(&mut |bytes| hasher.update(bytes));
        hasher.finalize()
    };
    let of_blocks: Vec<_> = blocks.into_par_iter().map(of_blocks).collect();
    let mut hasher = Sha256::new();
    // A model without adapters is called what it was called before there were any.
    let nothing = [", adapter: None", ", embedding_adapter: None, trained_tokens: []", ", precision: F32"];
    hasher.update(nothing.iter().fold(format!("{config:?}"), |text, nothing| text.replace(nothing, "")));
    if config.precision == Precision::Bf16 {
        // Since keys and values are rounded, too.
        hasher.update("keys and values: Bf16");
    }
    hashes.iter().chain(&of_blocks).for_each(|hash| hasher.update(hash));
    Ok(align_files::hex(&hasher.finalize()))
}

fn key<'a>(model: &str, sequences: impl IntoIterator<Item = (&'a [u32], &'a [u32])>) -> (String, usize) {
    let mut hasher = Sha256::new();
    hasher.update(model);
    let mut count = 0;
    for (prompt, completion) in sequences {
        for part in [prompt, completion] {
            hasher.update((part.len() as u64).to_le_bytes());
            part.iter().for_each(|token| hasher.update(token.to_le_bytes()));
        }
        count += 1;
    }
    (align_files::hex(&hasher.finalize()), count)
}

const TENSOR: &str = "log_probs";

/// The numbers of a complete, undamaged file.
fn read(path: &Path, count: usize) -> Option<Vec<f32>> {
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).ok()?;
    let log_probs = tensors.get(TENSOR)?.to_vec1::<f32>().ok()?;
    (log_probs.len() == count && log_probs.iter().all(|value| value.is_finite())).then_some(log_probs)
}

fn write(path: &PathBuf, log_probs: &[f32]) -> Result<()> {
    let dir = path.parent().expect("the path was joined to a directory");
    align_files::create_dir_all(dir)?;
    let tensor = Tensor::new(log_probs, &Device::Cpu)?;
    let bytes = safetensors::serialize([(TENSOR, &tensor)], None)
        .map_err(|error| Error::invalid(path, format!("could not be written: {error}")))?;
    Ok(align_files::write(path, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows<'a> = [(&'a [u32], &'a [u32])];

    fn file(dir: &Path, model: &str, rows: &Rows<'_>) -> LogProbFile {
        LogProbFile::of(dir, model, rows.iter().copied())
    }

    #[test]
    fn the_second_run_reads_what_the_first_computed_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let rows: [(&[u32], &[u32]); 2] = [(&[1, 2], &[3]), (&[1, 2], &[4, 5])];
        let first = file(dir.path(), "model", &rows);
        assert!(first.read().is_none() && first.keep(&[-1.5]).is_err());
        first.keep(&[-1.5, -2.5]).unwrap();
        let again = LogProbCache::from(file(dir.path(), "model", &rows).read().unwrap());
        assert_eq!(again.get(&[1, 0], &Device::Cpu).unwrap().to_vec1::<f32>().unwrap(), [-2.5, -1.5]);
        assert!(again.get(&[2], &Device::Cpu).is_err());
        // Another model, another boundary between prompt and completion, other rows.
        assert!(file(dir.path(), "other", &rows).read().is_none());
        assert!(file(dir.path(), "model", &[(&[1], &[2, 3]), rows[1]]).read().is_none());
        assert!(file(dir.path(), "model", &rows[..1]).read().is_none());
    }

    #[test]
    fn a_damaged_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let rows: [(&[u32], &[u32]); 1] = [(&[1, 2], &[3])];
        let file = file(dir.path(), "model", &rows);
        file.keep(&[-1.0]).unwrap();
        std::fs::write(file.path(), b"half").unwrap();
        assert!(file.read().is_none());
        file.keep(&[-1.0]).unwrap();
        assert_eq!(file.read().unwrap(), [-1.0]);
    }
}
