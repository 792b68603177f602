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

impl LogProbCache {
    /// Reads the log-probs of `sequences` from `dir`, or computes and keeps them.
    ///
    /// `model` is [`weights_hash`] of the reference; `compute` returns one number per sequence.
    ///
    /// # Errors
    /// If `compute` fails or the file cannot be written. A damaged file is computed anew.
    pub fn read_or_compute<'a>(
        dir: &Path,
        model: &str,
        sequences: impl IntoIterator<Item = (&'a [u32], &'a [u32])>,
        compute: impl FnOnce() -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let (key, count) = key(model, sequences);
        let path = dir.join(format!("{key}.safetensors"));
        if let Some(log_probs) = read(&path, count) {
            tracing::info!("reference log-probs of {count} sequences read from {}", path.display());
            return Ok(Self(log_probs.into()));
        }
        let log_probs = compute()?;
        if log_probs.len() != count {
            return Err(Error::Config(format!(
                "expected {count} reference log-probs, computed {}",
                log_probs.len()
            )));
        }
        write(&path, &log_probs)?;
        tracing::info!("reference log-probs of {count} sequences kept in {}", path.display());
        Ok(Self(log_probs.into()))
    }

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

    fn cached(
        dir: &Path,
        model: &str,
        rows: &[(&[u32], &[u32])],
        values: Option<Vec<f32>>,
    ) -> Result<LogProbCache> {
        let compute = || values.ok_or_else(|| Error::Config("computed again".to_owned()));
        LogProbCache::read_or_compute(dir, model, rows.iter().copied(), compute)
    }

    #[test]
    fn the_second_run_reads_what_the_first_computed_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let rows: [(&[u32], &[u32]); 2] = [(&[1, 2], &[3]), (&[1, 2], &[4, 5])];
        cached(dir.path(), "model", &rows, Some(vec![-1.5, -2.5])).unwrap();
        let again = cached(dir.path(), "model", &rows, None).unwrap();
        assert_eq!(again.get(&[1, 0], &Device::Cpu).unwrap().to_vec1::<f32>().unwrap(), [-2.5, -1.5]);
        assert!(again.get(&[2], &Device::Cpu).is_err());
        // Another model, another boundary between prompt and completion, other rows.
        assert!(cached(dir.path(), "other", &rows, None).is_err());
        assert!(cached(dir.path(), "model", &[(&[1], &[2, 3]), rows[1]], None).is_err());
        assert!(cached(dir.path(), "model", &rows[..1], None).is_err());
    }

    #[test]
    fn a_damaged_file_is_computed_again() {
        let dir = tempfile::tempdir().unwrap();
        let rows: [(&[u32], &[u32]); 1] = [(&[1, 2], &[3])];
        cached(dir.path(), "model", &rows, Some(vec![-1.0])).unwrap();
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::write(&file, b"half").unwrap();
        assert!(cached(dir.path(), "model", &rows, None).is_err());
        cached(dir.path(), "model", &rows, Some(vec![-1.0])).unwrap();
        assert!(cached(dir.path(), "model", &rows, None).is_ok());
    }
}
