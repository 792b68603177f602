//! Weights on disk: single or sharded safetensors, read by name and shape, written as transformers
//! reads them.

mod blocks;
mod bytes;
mod file;
mod format;
mod half;
mod shards;
mod written;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use align_kernels::{Blocks, Param, Params};
pub use blocks::Quantisation;
use blocks::{Quantised, parts};
pub use bytes::WeightBytes;
pub(crate) use bytes::numbers_bytes;
use candle_core::{Device, Tensor};
use file::{WeightFile, converter};
pub use format::{SavedDtype, SavedFormat};
pub(crate) use half::Multiplied;
use rayon::prelude::*;
use safetensors::tensor::TensorInfo;
use serde_json::{Map, json};
use shards::files;
pub(crate) use shards::{INDEX, SINGLE};
use written::Written;

use crate::model_dir::write_json;
use crate::plan::StoredTensor;
use crate::{Error, Result};

/// Names and shapes of tensors.
type Shapes = [(String, Vec<usize>)];

/// Tensors that were read: numbers, and weights in blocks of few bits.
#[derive(Default)]
pub(crate) struct Loaded {
    pub(crate) tensors: BTreeMap<String, Tensor>,
    pub(crate) blocks: BTreeMap<String, Arc<dyn Blocks>>,
}

impl Loaded {
    /// All of what was read tensor by tensor, numbers on `device`; the first error, if there is one.
    pub(crate) fn gathered(read: Vec<Result<Self>>, device: &Device) -> Result<Self> {
        let mut all = Self::default();
        for read in read {
            let Self { tensors, blocks } = read?;
            all.blocks.extend(blocks);
            for (name, tensor) in tensors {
                all.tensors.insert(name, tensor.to_device(device)?);
            }
        }
        Ok(all)
    }

    /// All as parameters that nothing updates.
    pub(crate) fn frozen(self) -> Params {
        Params::frozen(&self.tensors).with_blocks(self.blocks)
    }
}

/// What is read, from where, and into what.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// The directory, as errors name it.
    pub(crate) dir: &'a Path,
    /// The tensors.
    pub(crate) table: &'a [StoredTensor],
    /// What describes the table, as errors name it.
    pub(crate) by: &'a str,
    /// Other tensors that may be there.
    pub(crate) ignored: &'a [&'a str],
    /// How the weights of linear layers are quantised, if they are.
    pub(crate) quantise: Option<Quantisation>,
    /// What is held in bf16, if anything is.
    pub(crate) half: Option<&'a Multiplied>,
    /// Where numbers go.
    pub(crate) device: &'a Device,
}

impl Reading<'_> {
    /// Reads from a model directory. Numbers become f32.
    ///
    /// # Errors
    /// If a file is missing or damaged, a tensor is missing, unknown or of another shape; weights that the memory there is
    /// cannot hold, of which nothing is read.
    pub(crate) fn of_model(self) -> Result<Loaded> {
        self.of_files(&files(self.dir)?)
    }

    /// Reads from these files.
    ///
    /// # Errors
    /// As [`Reading::of_model`].
    pub(crate) fn of_files(self, files: &[PathBuf]) -> Result<Loaded> {
        let files = files.iter().map(|path| WeightFile::open(path)).collect::<Result<Vec<_>>>()?;
        let stored = blocks::stored(&files);
        refuse_unknown(&stored, &self)?;
        let held = self.held(&stored)?;
        let kind = if held.blocks == 0 { "in f32" } else { "and the blocks of those that are quantised" };
        let what = format!("the weights in {} {kind}", self.dir.display());
        check_bytes(&what, held.while_read())?;
        // Getting the memory takes longer than copying into it, so all threads do. The first error is the first by name.
        let read: Vec<Result<Loaded>> = self
            .table
            .into_par_iter()
            .map(|tensor| self.one(&stored, tensor, self.is_quantised(&stored, tensor)))
            .collect();
        Loaded::gathered(read, self.device)
    }

    /// Whether a tensor is a weight that will be in blocks.
    fn is_quantised(&self, stored: &blocks::Stored<'_>, tensor: &StoredTensor) -> bool {
        tensor.is_linear && (self.quantise.is_some() || is_code(stored, tensor))
    }

    /// The parameters of one tensor.
    fn one(&self, stored: &blocks::Stored<'_>, tensor: &StoredTensor, quantised: bool) -> Result<Loaded> {
        let shape = tensor.shape();
        if quantised && let Some(read) = Quantised::read(self.dir, stored, &tensor.name, &shape)? {
            if self.quantise.is_some() {
                let problem = format!(
                    "tensor `{}` is quantised already; leave out `--load-in-4bit` and `--load-in-8bit`",
                    tensor.name
                );
                return Err(Error::invalid(self.dir, problem));
            }
            return in_blocks(tensor, |rows| Ok(read.part(rows)));
        }
        let (file, info) = find((self.dir, self.by), stored, &tensor.name, &shape)?;
        let values = file.read(info)?;
        match (self.quantise.filter(|_| quantised), shape.as_slice()) {
            (Some(how), &[outputs, inputs]) => {
                crate::weights::quantised(tensor, &values, (outputs, inputs), how)
            }
            _ => {
                let tensors = tensor.split(&Tensor::from_vec(values, shape, &Device::Cpu)?)?;
                let half = self.half.filter(|_| self.device.is_cpu());
                Loaded { tensors: tensors.into_iter().collect(), ..Loaded::default() }.with_half(half)
            }
        }
    }
}

/// Whether a weight lies in the files as codes of few bits.
fn is_code(stored: &blocks::Stored<'_>, tensor: &StoredTensor) -> bool {
    let info = stored.get(&tensor.name).filter(|_| tensor.is_linear);
    info.is_some_and(|(_, info)| converter(info.dtype).is_none())
}

/// The values of one of a file's tensors in f32; none if it has no such tensor of numbers of that shape.
pub(crate) fn values_of(file: &Path, name: &str, shape: &[usize]) -> Result<Option<Vec<f32>>> {
    let file = WeightFile::open(file)?;
    let found = file.tensors().find(|(found, _)| found.as_str() == name).map(|(_, info)| info);
    let fits = |info: &&TensorInfo| info.shape == shape && converter(info.dtype).is_some();
    found.filter(fits).map(|info| file.read(info)).transpose()
}

/// The parameters of a linear layer's weights `[outputs, inputs]`, quantised here.
pub(crate) fn quantised(
    stored: &StoredTensor,
    weights: &[f32],
    shape: (usize, usize),
    how: Quantisation,
) -> Result<Loaded> {
    let whole = Quantised::of(weights, shape, how)?;
    in_blocks(stored, |rows| Ok(whole.part(rows)))
}

/// The parameters that a weight in blocks holds: `part` gives some of its rows.
pub(crate) fn in_blocks(
    stored: &StoredTensor,
    part: impl Fn(Range<usize>) -> Result<Arc<dyn Blocks>>,
) -> Result<Loaded> {
    let mut first = 0;
    let parts = stored.params.iter().map(|param| {
        let rows = first..first + param.shape[0];
        first = rows.end;
        Ok((param.name.clone(), part(rows)?))
    });
    Ok(Loaded { blocks: parts.collect::<Result<_>>()?, ..Loaded::default() })
}

/// Refuses tensors of these shapes in f32 where the machine has no memory for them; `what` has them.
///
/// # Errors
/// With the bytes that are needed and those that are available.
pub(crate) fn check_memory(what: &str, shapes: &Shapes) -> Result<()> {
    let needed = shapes.iter().fold(0_u64, |sum, (_, shape)| sum.saturating_add(numbers_bytes(shape)));
    check_bytes(what, needed)
}

/// Refuses so many bytes where the machine has no memory for them; `what` has them.
///
/// # Errors
/// With the bytes that are needed and those that are available.
pub(crate) fn check_bytes(what: &str, needed: u64) -> Result<()> {
    align_limits::memory::check(Some(needed)).map_err(|shortage| Error::Config(format!("{what}: {shortage}")))
}

/// The tensor of that name, of that shape and of floating-point numbers.
fn find<'a>(
    (dir, by): (&Path, &str),
    stored: &blocks::Stored<'a>,
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
pub(crate) fn joined(params: &Params, table: &[StoredTensor]) -> Result<BTreeMap<String, Tensor>> {
    let value = |param: &Param| Ok::<_, Error>(param.tensor().detach().contiguous()?);
    let mut tensors = BTreeMap::new();
    let mut rest: BTreeMap<&str, &Param> = params.iter().collect();
    for stored in table.iter().filter(|stored| stored.params.len() > 1) {
        tensors.insert(stored.name.clone(), stored.joined(|name| value(params.require(name)?))?);
        stored.params.iter().for_each(|param| {
            rest.remove(param.name.as_str());
        });
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
    let mut tensors = joined(params, table)?;
    let mut written = BTreeMap::new();
    if let Some(how) = format.quantise {
        for stored in table.iter().filter(|stored| stored.is_linear) {
            let Some(weight) = tensors.remove(&stored.name) else { continue };
            written.extend(written::in_blocks(&stored.name, &weight, how, format.dtype)?);
        }
    }
    written.extend(tensors.into_iter().map(|(name, tensor)| (name, Written::Numbers(tensor))));
    let shards = format.shards(&written);
    let count = shards.len();
    let mut converted = |names: Vec<String>| {
        let own = names.into_iter().filter_map(|name| written.remove_entry(&name));
        own.map(|(name, it)| it.converted(&name, format.dtype, dir).map(|it| (name, it)))
            .collect::<Result<BTreeMap<_, _>>>()
    };
    if count <= 1 {
        return write(&converted(shards.into_iter().flatten().collect())?, &dir.join(SINGLE));
    }
    let (mut map, mut total) = (Map::new(), 0);
    for (number, names) in shards.into_iter().enumerate() {
        let file = format!("model-{:05}-of-{count:05}.safetensors", number + 1);
        let of_shard = converted(names)?;
        write(&of_shard, &dir.join(&file))?;
        total += of_shard.values().map(|it| it.size(format.dtype)).sum::<u64>();
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
    let value = |name: &str| Ok::<_, Error>(params.require(name)?.tensor().detach().contiguous()?);
    let stored = |stored: &StoredTensor| Ok((stored.name.clone(), Written::Numbers(stored.joined(value)?)));
    write(&table.iter().map(stored).collect::<Result<_>>()?, path)
}

fn write(tensors: &BTreeMap<String, Written>, path: &Path) -> Result<()> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), path)
        .map_err(|error| Error::invalid(path, format!("could not be written: {error}")))
}

/// A tensor that the decoder does not know would change the model's function: reading on without it
/// would be silently wrong.
fn refuse_unknown(stored: &blocks::Stored<'_>, reading: &Reading<'_>) -> Result<()> {
    let Reading { dir, table, by, ignored, .. } = reading;
    let known: BTreeSet<&str> = table.iter().map(|tensor| tensor.name.as_str()).collect();
    let beside: BTreeSet<String> =
        table.iter().filter(|tensor| tensor.is_linear).flat_map(|tensor| parts(&tensor.name)).collect();
    let harmless = |name: &str| name.ends_with(".rotary_emb.inv_freq") || ignored.contains(&name);
    let is_known = |name: &str| known.contains(name) || beside.contains(name) || harmless(name);
    let unknown: Vec<&String> = stored.keys().filter(|name| !is_known(name)).collect();
    match unknown.as_slice() {
        [] => Ok(()),
        [first, ..] => Err(Error::invalid(
            dir,
            format!("{} tensor(s) that {by} does not account for, such as `{first}`", unknown.len()),
        )),
    }
}
