//! Weights on disk: single or sharded safetensors, read by name and shape, written as transformers
//! reads them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use align_kernels::Params;
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use safetensors::Dtype;
use serde_json::Value;

use crate::model_dir::replace;
use crate::{DecoderConfig, Error, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Reads the weights of `config` from a model directory as f32 tensors on `device`.
///
/// # Errors
/// If a file is missing or damaged, a tensor is missing, unknown or of another shape.
pub(crate) fn load(dir: &Path, config: &DecoderConfig, device: &Device) -> Result<BTreeMap<String, Tensor>> {
    let ignored: &[&str] = if config.tied_embeddings { &["lm_head.weight"] } else { &[] };
    load_tensors(dir, config.weight_shapes(), ignored, device)
}

/// Reads tensors by name and shape as [`load`] does; others may be there only if they are among the `ignored`.
///
/// # Errors
/// As [`load`].
pub(crate) fn load_tensors(
    dir: &Path,
    shapes: Vec<(String, Vec<usize>)>,
    ignored: &[&str],
    device: &Device,
) -> Result<BTreeMap<String, Tensor>> {
    let files = files(dir)?;
    for file in &files {
        std::fs::File::open(file).map_err(Error::io(file))?;
    }
    #[expect(
        unsafe_code,
        reason = "memory-mapped files: undefined only if another process changes them while we read"
    )]
    // SAFETY: the files are read once, right here, into tensors that own their data.
    let stored = unsafe { MmapedSafetensors::multi(&files) }
        .map_err(|error| Error::invalid(&files[0], format!("is not a readable safetensors file: {error}")))?;
    refuse_unknown(dir, &stored, &shapes, ignored)?;
    let read = |(name, shape): (String, Vec<usize>)| {
        let view =
            stored.get(&name).map_err(|_| Error::invalid(dir, format!("tensor `{name}` is missing")))?;
        if view.shape() != shape {
            let problem =
                format!("tensor `{name}`: expected shape {shape:?} by config.json, found {:?}", view.shape());
            return Err(Error::invalid(dir, problem));
        }
        if !matches!(view.dtype(), Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let found = view.dtype();
            let problem = format!(
                "tensor `{name}`: expected floating-point weights, found {found:?}; dequantize them first"
            );
            return Err(Error::invalid(dir, problem));
        }
        let tensor = stored.load(&name, &Device::Cpu)?.to_dtype(DType::F32)?;
        Ok((name, tensor))
    };
    // Getting the memory takes longer than copying into it, so all threads do. The first error is the first by name.
    let read: Vec<Result<(String, Tensor)>> = shapes.into_par_iter().map(read).collect();
    let to_device = |read: Result<(String, Tensor)>| {
        let (name, tensor) = read?;
        Ok((name, tensor.to_device(device)?))
    };
    read.into_iter().map(to_device).collect()
}

/// Writes `params` as `model.safetensors` with the metadata transformers asks for, in their own dtype.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn save(params: &Params, dir: &Path) -> Result<()> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let tensors = params.iter().map(|(name, param)| Ok((name, param.tensor().detach().contiguous()?)));
    let tensors = tensors.collect::<Result<Vec<_>>>()?;
    let data = tensors.iter().map(|(name, tensor)| (*name, tensor));
    replace(&dir.join(SINGLE), |path| {
        // safetensors makes a file that only its owner may read; a model is for whom new files are for.
        let permissions = std::fs::File::create(path).and_then(|file| Ok(file.metadata()?.permissions()));
        let permissions = permissions.map_err(Error::io(path))?;
        safetensors::serialize_to_file(data, Some(metadata), path)
            .map_err(|error| Error::invalid(path, format!("could not be written: {error}")))?;
        std::fs::set_permissions(path, permissions).map_err(Error::io(path))
    })
}

/// The safetensors files of a directory, in order.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    if dir.join(SINGLE).is_file() {
        return Ok(vec![dir.join(SINGLE)]);
    }
    let index = dir.join(INDEX);
    if !index.is_file() {
        let problem =
            format!("holds neither {SINGLE} nor {INDEX}; weights in other formats must be converted first");
        return Err(Error::invalid(dir, problem));
    }
    let text = std::fs::read_to_string(&index).map_err(Error::io(&index))?;
    let json: Value =
        serde_json::from_str(&text).map_err(|error| Error::invalid(&index, error.to_string()))?;
    let Some(map) = json.get("weight_map").and_then(Value::as_object) else {
        return Err(Error::invalid(&index, "has no `weight_map`"));
    };
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    match names.is_empty() {
        true => Err(Error::invalid(&index, "`weight_map` names no file")),
        false => Ok(names.into_iter().map(|name| dir.join(name)).collect()),
    }
}

/// A tensor that the decoder does not know would change the model's function: reading on without it
/// would be silently wrong.
fn refuse_unknown(
    dir: &Path,
    stored: &MmapedSafetensors,
    shapes: &[(String, Vec<usize>)],
    ignored: &[&str],
) -> Result<()> {
    let known: BTreeSet<&str> = shapes.iter().map(|(name, _)| name.as_str()).collect();
    let harmless = |name: &str| name.ends_with(".rotary_emb.inv_freq") || ignored.contains(&name);
    let mut unknown: Vec<String> = stored
        .tensors()
        .into_iter()
        .map(|(name, _)| name)
        .filter(|n| !known.contains(n.as_str()) && !harmless(n))
        .collect();
    unknown.sort();
    match unknown.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(Error::invalid(
            dir,
            format!("{} tensor(s) that config.json does not account for, such as `{first}`", unknown.len()),
        )),
    }
}
