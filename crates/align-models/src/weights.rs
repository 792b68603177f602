//! Weights on disk: single or sharded safetensors, read by name and shape, written as transformers
//! reads them.

mod file;
mod format;
mod shards;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use align_kernels::{Param, Params};
use candle_core::{Device, Tensor};
use file::{WeightFile, converter};
pub use format::{SavedDtype, SavedFormat};
use rayon::prelude::*;
use safetensors::tensor::TensorInfo;
use serde_json::{Map, json};
use shards::files;
pub(crate) use shards::{INDEX, SINGLE};

use crate::model_dir::write_json;
use crate::plan::{StoredTensor, weight};
use crate::{DecoderConfig, Error, Result};

/// Names and shapes of tensors.
type Shapes = [(String, Vec<usize>)];

/// Reads the weights of `config` from a model directory as f32 tensors on `device`.
///
/// # Errors
/// If a file is missing or damaged, a tensor is missing, unknown or of another shape; too little memory.
pub(crate) fn load(dir: &Path, config: &DecoderConfig, device: &Device) -> Result<BTreeMap<String, Tensor>> {
    let head = weight(&config.head.name);
    let ignored: &[&str] = if config.tied_embeddings { &[&head] } else { &[] };
    load_tensors(dir, &config.tensors(), ignored, device)
}

/// Reads the parameters of a table as [`load`] does; other tensors may be there only if they are among the `ignored`.
///
/// # Errors
/// As [`load`]; weights that the memory there is cannot hold, of which nothing is read.
pub(crate) fn load_tensors(
    dir: &Path,
    table: &[StoredTensor],
    ignored: &[&str],
    device: &Device,
) -> Result<BTreeMap<String, Tensor>> {
    load_files(dir, &files(dir)?, (table, "config.json"), ignored, device)
}

/// [`load_tensors`] of these files; `by` is what describes the table.
pub(crate) fn load_files(
    dir: &Path,
    files: &[PathBuf],
    (table, by): (&[StoredTensor], &str),
    ignored: &[&str],
    device: &Device,
) -> Result<BTreeMap<String, Tensor>> {
    let files = files.iter().map(|path| WeightFile::open(path)).collect::<Result<Vec<_>>>()?;
    let stored: BTreeMap<String, (&WeightFile, &TensorInfo)> =
        files.iter().flat_map(|file| file.tensors().map(move |(name, info)| (name, (file, info)))).collect();
    refuse_unknown(dir, &stored, (table, by), ignored)?;
    let found =
        table.iter().map(|tensor| Ok((tensor, find((dir, by), &stored, &tensor.name, &tensor.shape())?)));
    let found = found.collect::<Result<Vec<_>>>()?;
    let shapes: Vec<_> = table.iter().map(|tensor| (tensor.name.clone(), tensor.shape())).collect();
    check_memory(&format!("the weights in {} in f32", dir.display()), &shapes)?;
    let read = |(tensor, (file, info)): (&StoredTensor, (&WeightFile, &TensorInfo))| {
        split(tensor, &Tensor::from_vec(file.read(info)?, info.shape.as_slice(), &Device::Cpu)?)
    };
    // Getting the memory takes longer than copying into it, so all threads do. The first error is the first by name.
    let read: Vec<Result<Vec<(String, Tensor)>>> = found.into_par_iter().map(read).collect();
    let mut all = BTreeMap::new();
    for params in read {
        for (name, tensor) in params? {
            all.insert(name, tensor.to_device(device)?);
        }
    }
    Ok(all)
}

/// The parameters that a tensor holds.
fn split(stored: &StoredTensor, tensor: &Tensor) -> Result<Vec<(String, Tensor)>> {
    if let [only] = stored.params.as_slice() {
        return Ok(vec![(only.name.clone(), tensor.clone())]);
    }
    let mut first = 0;
    let rows = stored.params.iter().map(|param| {
        let rows = tensor.narrow(0, first, param.shape[0])?.force_contiguous()?;
        first += param.shape[0];
        Ok((param.name.clone(), rows))
    });
    rows.collect()
}

/// Refuses tensors of these shapes in f32 where the machine has no memory for them; `what` has them.
///
/// # Errors
/// With the bytes that are needed and those that are available.
pub(crate) fn check_memory(what: &str, shapes: &Shapes) -> Result<()> {
    let bytes = |shape: &[usize]| shape.iter().try_fold(4_u64, |bytes, &size| bytes.checked_mul(size as u64));
    let needed = shapes.iter().try_fold(0_u64, |sum, (_, shape)| sum.checked_add(bytes(shape)?));
    align_limits::memory::check(needed).map_err(|shortage| Error::Config(format!("{what}: {shortage}")))
}

/// The tensor of that name, of that shape and of floating-point numbers.
fn find<'a>(
    (dir, by): (&Path, &str),
    stored: &BTreeMap<String, (&'a WeightFile, &'a TensorInfo)>,
    name: &str,
    shape: &[usize],
) -> Result<(&'a WeightFile, &'a TensorInfo)> {
    let wrong = |problem: String| Err(Error::invalid(dir, format!("tensor `{name}`{problem}")));
    match stored.get(name) {
        None => wrong(" is missing".to_owned()),
        Some((_, info)) if info.shape != shape => {
            wrong(format!(": expected shape {shape:?} by {by}, found {:?}", info.shape))
        }
        Some((_, info)) if converter(info.dtype).is_none() => {
            let found = info.dtype;
            wrong(format!(": expected floating-point weights, found {found:?}; dequantize them first"))
        }
        Some(&found) => Ok(found),
    }
}

/// Tensors as they are stored, of a model that may have more parameters than the table, or fewer.
fn joined(params: &Params, table: &[StoredTensor]) -> Result<BTreeMap<String, Tensor>> {
    let value = |param: &Param| Ok::<_, Error>(param.tensor().detach().contiguous()?);
    let mut tensors = BTreeMap::new();
    let mut rest: BTreeMap<&str, &Param> = params.iter().collect();
    for stored in table.iter().filter(|stored| stored.params.len() > 1) {
        let parts: Vec<_> =
            stored.params.iter().filter_map(|param| rest.remove(param.name.as_str())).collect();
        let parts = parts.into_iter().map(value).collect::<Result<Vec<_>>>()?;
        tensors.insert(stored.name.clone(), Tensor::cat(&parts, 0)?);
    }
    for (name, param) in rest {
        tensors.insert(name.to_owned(), value(param)?);
    }
    Ok(tensors)
}

/// Writes `params` as `model.safetensors`, or as shards of it with their index, into a directory that nobody reads from yet,
/// with the metadata transformers asks for.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn save(params: &Params, table: &[StoredTensor], dir: &Path, format: &SavedFormat) -> Result<()> {
    let tensors = joined(params, table)?;
    let shards = format.shards(&tensors);
    let count = shards.len();
    if count <= 1 {
        return write(&format.converted(tensors)?, &dir.join(SINGLE));
    }
    let (mut map, mut total) = (Map::new(), 0);
    for (number, names) in shards.into_iter().enumerate() {
        let file = format!("model-{:05}-of-{count:05}.safetensors", number + 1);
        let of_shard = names.into_iter().filter_map(|name| Some((name.clone(), tensors.get(&name)?.clone())));
        let of_shard = format.converted(of_shard.collect())?;
        write(&of_shard, &dir.join(&file))?;
        total += of_shard
            .values()
            .map(|tensor| tensor.elem_count() * tensor.dtype().size_in_bytes())
            .sum::<usize>();
        map.extend(of_shard.into_keys().map(|name| (name, json!(file))));
    }
    map.sort_keys();
    write_json(&dir.join(INDEX), &json!({ "metadata": { "total_size": total }, "weight_map": map }))
}

/// Writes the tensors of a table, and no others, as a file of its own.
///
/// # Errors
/// If a parameter is missing; if the file cannot be written.
pub(crate) fn save_only(params: &Params, table: &[StoredTensor], path: &Path) -> Result<()> {
    let stored = |stored: &StoredTensor| {
        let parts =
            stored.params.iter().map(|param| params.require(&param.name)?.tensor().detach().contiguous());
        Ok::<_, Error>((
            stored.name.clone(),
            Tensor::cat(&parts.collect::<candle_core::Result<Vec<_>>>()?, 0)?,
        ))
    };
    write(&table.iter().map(stored).collect::<Result<_>>()?, path)
}

fn write(tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<()> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), path)
        .map_err(|error| Error::invalid(path, format!("could not be written: {error}")))
}

/// A tensor that the decoder does not know would change the model's function: reading on without it
/// would be silently wrong.
fn refuse_unknown(
    dir: &Path,
    stored: &BTreeMap<String, (&WeightFile, &TensorInfo)>,
    (table, by): (&[StoredTensor], &str),
    ignored: &[&str],
) -> Result<()> {
    let known: BTreeSet<&str> = table.iter().map(|tensor| tensor.name.as_str()).collect();
    let harmless = |name: &str| name.ends_with(".rotary_emb.inv_freq") || ignored.contains(&name);
    let unknown: Vec<&String> =
        stored.keys().filter(|name| !known.contains(name.as_str()) && !harmless(name)).collect();
    match unknown.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(Error::invalid(
            dir,
            format!("{} tensor(s) that {by} does not account for, such as `{first}`", unknown.len()),
        )),
    }
}
