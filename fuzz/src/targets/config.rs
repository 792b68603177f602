//! A model's `config.json` and its weights.

use align_models::ModelDir;
use candle_core::Device;

use crate::{Scratch, bounded};

/// A `config.json`, and what is computed from it alone.
pub(crate) fn config(bytes: &[u8], scratch: &Scratch) {
    scratch.file("config.json", bytes);
    scratch.file("generation_config.json", bytes);
    let dir = match ModelDir::open(scratch.path()) {
        Ok(dir) => dir,
        Err(error) => return bounded(error),
    };
    if let Err(error) = dir.eos_token_ids() {
        bounded(error);
    }
    if let Err(error) = dir.check_data(1000, 1000) {
        bounded(error);
    }
    // There are no weights: what a config claims is compared with that before anything is allocated.
    if let Err(error) = dir.load(&Device::Cpu) {
        bounded(error);
    }
}

/// A `model.safetensors` for a tiny config.
pub(crate) fn safetensors(bytes: &[u8], scratch: &Scratch) {
    scratch.file("config.json", include_bytes!("../../corpus/config/llama.json"));
    scratch.file("model.safetensors", bytes);
    let dir = ModelDir::open(scratch.path()).expect("the config is right");
    if let Err(error) = dir.load(&Device::Cpu) {
        bounded(error);
    }
}
