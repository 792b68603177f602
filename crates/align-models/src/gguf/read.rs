//! Weights out of a GGUF file: numbers as numbers, blocks as they are, rows in Hugging Face's order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use align_gguf::{GgufFile, TensorInfo};
use align_kernels::{Blocks, Ggml};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::families::Family;
use super::rope;
use super::tensors::{Place, places, row_in_file};
use super::types::blocks_of;
use crate::plan::StoredTensor;
use crate::weights::{Loaded, check_bytes, in_blocks, numbers_bytes, quantised};
use crate::{DecoderConfig, Error, Quantisation, Result, WeightBytes};

/// A file that was opened as a model.
#[derive(Debug)]
pub(crate) struct Gguf {
    pub(crate) file: GgufFile,
    pub(crate) family: &'static Family,
}

impl Gguf {
    /// Reads the tensors of a table.
    ///
    /// # Errors
    /// If a tensor is missing, unknown or of another shape; what the memory there is cannot hold.
    pub(crate) fn read(
        &self,
        config: &DecoderConfig,
        table: &[StoredTensor],
        ignored: &[&str],
        quantise: Option<Quantisation>,
        device: &Device,
    ) -> Result<Loaded> {
        let places = places(config, self.family);
        self.refuse_unknown(&places, table, ignored)?;
        let held = self.held(&places, table, quantise)?;
        check_bytes(&format!("the weights in {}", self.file.path().display()), held.while_read())?;
        let found = table.iter().map(|tensor| Ok((tensor, self.find(&places, tensor)?)));
        let found = found.collect::<Result<Vec<_>>>()?;
        let one = |(tensor, (place, info)): (&StoredTensor, (&Place, &TensorInfo))| {
            self.one(tensor, place, info, quantise)
        };
        let read: Vec<Result<Loaded>> = found.into_par_iter().map(one).collect();
        Loaded::gathered(read, device)
    }

    /// What the tensors of a table will take in memory.
    ///
    /// # Errors
    /// If one is missing or of another shape.
    pub(crate) fn bytes_of(
        &self,
        config: &DecoderConfig,
        table: &[StoredTensor],
        quantise: Option<Quantisation>,
    ) -> Result<WeightBytes> {
        self.held(&places(config, self.family), table, quantise)
    }

    fn held(
        &self,
        places: &BTreeMap<String, Place>,
        table: &[StoredTensor],
        quantise: Option<Quantisation>,
    ) -> Result<WeightBytes> {
        let mut held = WeightBytes::default();
        for tensor in table {
            let (_, info) = self.find(places, tensor)?;
            match (quantise.filter(|_| tensor.is_linear), info.shape.as_slice()) {
                _ if !info.kind.is_number() => held.add_blocks(info.bytes(), 0),
                (Some(how), &[outputs, inputs]) => {
                    held.add_blocks(how.bytes(outputs, inputs), numbers_bytes(&info.shape));
                }
                (_, shape) => held.add_numbers(numbers_bytes(shape)),
            }
        }
        Ok(held)
    }

    pub(crate) fn has_embedding_in_blocks(&self) -> bool {
        self.file.tensors().get("token_embd.weight").is_some_and(|info| !info.kind.is_number())
    }

    fn wrong(&self, name: &str, problem: &str) -> Error {
        Error::invalid(self.file.path(), format!("tensor `{name}`{problem}"))
    }

    fn find<'a>(
        &'a self,
        places: &'a BTreeMap<String, Place>,
        tensor: &StoredTensor,
    ) -> Result<(&'a Place, &'a TensorInfo)> {
        let missing = || Error::invalid(self.file.path(), format!("has no tensor for `{}`", tensor.name));
        let place = places.get(&tensor.name).ok_or_else(missing)?;
        let Some(info) = self.file.tensors().get(&place.name) else {
            return Err(self.wrong(&place.name, " is missing"));
        };
        let (expected, found) = (tensor.shape(), &info.shape);
        if *found != expected {
            let problem = format!(": expected shape {expected:?} by the file's metadata, found {found:?}");
            return Err(self.wrong(&place.name, &problem));
        }
        if found.len() != 2 && !info.kind.is_number() {
            return Err(
                self.wrong(&place.name, &format!(": expected numbers, found blocks of {}", info.kind))
            );
        }
        Ok((place, info))
    }

    /// A tensor that the decoder does not know would change the model's function.
    fn refuse_unknown(
        &self,
        places: &BTreeMap<String, Place>,
        table: &[StoredTensor],
        ignored: &[&str],
    ) -> Result<()> {
        let names = table.iter().map(|tensor| tensor.name.as_str()).chain(ignored.iter().copied());
        let known: BTreeSet<&str> = names.filter_map(|name| Some(places.get(name)?.name.as_str())).collect();
        let is_known = |name: &str| known.contains(name) || rope::TENSORS.contains(&name);
        let unknown: Vec<&String> = self.file.tensors().keys().filter(|name| !is_known(name)).collect();
        match unknown.as_slice() {
            [] => Ok(()),
            [first, ..] => {
                let first = align_text::shortened(first, crate::error::SHOWN);
                let problem = format!(
                    "{} tensor(s) that models of its family do not have, such as `{first}`",
                    unknown.len()
                );
                Err(Error::invalid(self.file.path(), problem))
            }
        }
    }

    /// The parameters of one tensor.
    fn one(
        &self,
        tensor: &StoredTensor,
        place: &Place,
        info: &TensorInfo,
        quantise: Option<Quantisation>,
    ) -> Result<Loaded> {
        let rows = info.shape[0];
        let mut bytes = self.file.bytes(info)?;
        if let Some(heads) = place.heads {
            bytes = in_order(&bytes, rows, heads);
        }
        let quantise = quantise.filter(|_| tensor.is_linear);
        if let Some(mut values) = align_gguf::numbers(info.kind, &bytes) {
            if place.plus_one {
                values.iter_mut().for_each(|value| *value -= 1.0);
            }
            return match (quantise, info.shape.as_slice()) {
                (Some(how), &[outputs, inputs]) => quantised(tensor, &values, (outputs, inputs), how),
                _ => {
                    let whole = Tensor::from_vec(values, info.shape.as_slice(), &Device::Cpu)?;
                    Ok(Loaded { tensors: tensor.split(&whole)?.into_iter().collect(), ..Loaded::default() })
                }
            };
        }
        if quantise.is_some() {
            let problem = format!(
                " is in blocks of {} already; leave out `--load-in-4bit` and `--load-in-8bit`",
                info.kind
            );
            return Err(self.wrong(&place.name, &problem));
        }
        let (row, inputs) = (bytes.len() / rows.max(1), info.shape[1]);
        let part = |rows: std::ops::Range<usize>| {
            let bytes = bytes[rows.start * row..rows.end * row].to_vec();
            Ok::<_, Error>(
                Arc::new(Ggml::new(blocks_of(info.kind), (rows.len(), inputs), bytes)?) as Arc<dyn Blocks>
            )
        };
        in_blocks(tensor, part)
    }
}

/// Rows in the order of the model.
fn in_order(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let width = bytes.len() / rows.max(1);
    let row = |row: usize| &bytes[row_in_file(row, rows, heads) * width..][..width];
    (0..rows).flat_map(row).copied().collect()
}
