//! `model.safetensors` of an encoder, read whole, and every tensor of it accounted for.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

const FILE: &str = "model.safetensors";
/// Bytes of the largest file of weights that is read: some twenty times DeBERTa v2 xxlarge's.
const LARGEST: u64 = 64 << 30;

/// The tensors of a model, and which of them were asked for.
pub(crate) struct Weights {
    tensors: Arc<Tensors>,
    /// SHA-256 of the file, in hex.
    pub(crate) hash: String,
}

struct Tensors {
    by_name: HashMap<String, Tensor>,
    asked: Mutex<BTreeSet<String>>,
}

impl Weights {
    /// Reads the file of a model directory.
    ///
    /// # Errors
    /// A file that is missing or damaged; too little memory.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        if !path.exists() {
            let problem = match dir.join("pytorch_model.bin").exists() {
                true => {
                    "there is a pytorch_model.bin instead, which is a program and is not run; save the model with \
                     from_pretrained(..).save_pretrained(..), which writes model.safetensors"
                }
                false => "no such file; an encoder needs its weights in this one file",
            };
            return Err(Error::invalid(path, problem));
        }
        let size = std::fs::metadata(&path).map_err(align_files::Error::at(&path))?.len();
        // The bytes, and tensors of them: f32 of half precision are twice as large.
        let needed = size.saturating_mul(3);
        align_limits::memory::check(Some(needed))
            .map_err(|shortage| Error::invalid(&path, shortage.to_string()))?;
        let bytes = align_files::read(&path, LARGEST)?;
        let by_name = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|error| Error::invalid(&path, format!("is damaged, or no safetensors file: {error}")))?;
        let hash = align_files::hex(&Sha256::digest(&bytes));
        Ok(Self { tensors: Arc::new(Tensors { by_name, asked: Mutex::default() }), hash })
    }

    /// What hands them out in f32 on a device, by name and shape.
    pub(crate) fn builder(&self, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(Handed(Arc::clone(&self.tensors))), DType::F32, device.clone())
    }

    /// Refuses a tensor that nobody asked for: it would change what is computed.
    ///
    /// # Errors
    /// Names the first.
    pub(crate) fn all_asked_for(&self, dir: &Path) -> Result<()> {
        let asked = self.tensors.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let names: BTreeSet<&String> = self.tensors.by_name.keys().collect();
        match names.into_iter().find(|name| !asked.contains(*name) && !is_idle(name)) {
            None => Ok(()),
            Some(name) => {
                let problem = format!("tensor `{name}` has no part in the model that config.json describes");
                Err(Error::invalid(dir.join(FILE), problem))
            }
        }
    }
}

/// What old checkpoints hold beside their weights: numbers of places, which transformers ignores too, and the heads of
/// pretraining.
fn is_idle(name: &str) -> bool {
    name.ends_with("position_ids")
        || name.contains("position_embeddings")
        || ["cls.", "lm_predictions.", "mask_predictions."].iter().any(|head| name.starts_with(head))
}

struct Handed(Arc<Tensors>);

impl SimpleBackend for Handed {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if *tensor.shape() != shape {
            candle_core::bail!(
                "tensor `{name}`: expected shape {shape:?} by config.json, found {:?}",
                tensor.shape()
            );
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let Some(tensor) = self.0.by_name.get(name) else { candle_core::bail!("tensor `{name}` is missing") };
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        tensor.to_device(device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.by_name.contains_key(name)
    }
}
