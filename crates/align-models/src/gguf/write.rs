//! Models and adapters as GGUF files.

use std::collections::BTreeSet;
use std::path::Path;

use align_gguf::{Field, Fields, GgufWriter, Kind};
use candle_core::quantized::QTensor;
use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::families::Family;
use super::fields::{Described, check, describe};
use super::tensors::{modules, places, row_in_file};
use super::types::blocks_of;
use super::{GgufType, open};

use crate::adapter::offset_b;
use crate::plan::weight;
use crate::weights::joined;
use crate::{Error, Model, ModelDir, Result, architectures};

/// Rows that are quantised at a time.
const ROWS: usize = 64;

impl ModelDir {
    /// Writes a language model as one GGUF file, with its tokenizer and chat template, into a directory that nobody reads from
    /// yet, and reads what it says of the model.
    ///
    /// # Errors
    /// A family or tokenizer that llama.cpp has no words for, or a model that it would compute otherwise; a file that cannot be
    /// written.
    pub fn save_gguf(&self, model: &Model, path: &Path, kind: GgufType) -> Result<()> {
        if let Some(head) = self.reward_head()? {
            return Err(Error::invalid(
                self.path(),
                format!("is a reward model with {head}, which GGUF files do not have"),
            ));
        }
        let Model { config, params } = model;
        let family = self.family()?;
        let Described { mut fields, tensors: of_rotations } = describe(config, family, self.json())?;
        fields.splice(0..0, general(family, "model", self.name()));
        fields.push(("general.file_type".to_owned(), Field::U32(kind.number())));
        fields.push(("general.quantization_version".to_owned(), Field::U32(2)));
        let file = |name: &str| self.carried_file(name).map(<[u8]>::to_vec);
        let tokenizer = align_gguf::tokenizer_fields(file, config.vocab);
        fields.extend(tokenizer.map_err(|problem| Error::invalid(self.path(), problem))?);

        let stored = joined(&params.decoded()?, &config.tensors())?;
        let places = places(config, family);
        let head = if config.tied_embeddings { &config.embedding } else { &config.head.name };
        let mut tensors: Vec<Written<'_>> = Vec::new();
        for (name, tensor) in &stored {
            let Some(place) = places.get(name) else { continue };
            let kind = kind.of(&place.name, tensor.dims(), config.layers.len(), *name == weight(head));
            let make = Box::new(move || {
                let tensor = if place.plus_one { (tensor + 1.0)? } else { tensor.clone() };
                place.heads.map_or(Ok(tensor.clone()), |heads| interleaved(&tensor, heads))
            });
            tensors.push(Written { name: place.name.clone(), kind, shape: tensor.dims().to_vec(), make });
        }
        for (name, values) in of_rotations {
            let shape = vec![values.len()];
            let make = Box::new(move || Ok(Tensor::new(values.as_slice(), &Device::Cpu)?));
            tensors.push(Written { name: name.to_owned(), kind: Kind::F32, shape, make });
        }
        write(path, &fields, &tensors)?;
        let read = architectures::decoder_config(path, &open(path)?.config)?;
        check(config, &read, family)
    }

    /// Writes an adapter as a GGUF file for a base that is one, into a directory that nobody reads from yet. What llama.cpp multiplies with is α / r: whatever else the
    /// adapter's scale depends on goes into B.
    ///
    /// # Errors
    /// A model without adapter; what such a file cannot hold: DoRA's magnitudes, biases, modules saved whole.
    pub fn save_gguf_adapter(&self, model: &Model, path: &Path) -> Result<()> {
        let wrong = |problem: &str| Err(Error::invalid(self.path(), problem));
        let Some(adapter) = self.adapter() else {
            return wrong("is no adapter; write it as a model");
        };
        let settings = &adapter.config;
        if settings.use_dora
            || settings.lora_bias
            || adapter.head.is_some()
            || !settings.modules_to_save.is_empty()
            || model.config.changes_vocabulary()
        {
            return wrong(
                "has more than A and B of layers (DoRA, biases, modules saved whole, tokens, embedding, head, or a reward \
                 head), which an adapter in GGUF cannot hold; merge it into its base",
            );
        }
        let family = self.family()?;
        let mut fields = general(family, "adapter", self.name());
        fields.push(("adapter.type".to_owned(), Field::Text("lora".to_owned())));
        let alpha = settings.portable().lora_alpha as f32;
        fields.push(("adapter.lora.alpha".to_owned(), Field::F32(alpha)));
        let (mut tensors, mut done) = (Vec::new(), BTreeSet::new());
        let parts = |name: &str| {
            let own = modules(&model.config, family).filter(move |it| it.name == name);
            own.map(|it| (it.plan, it.heads)).collect::<Vec<_>>()
        };
        for module in modules(&model.config, family) {
            let Some(plan) = module.plan.adapter.as_ref().filter(|_| done.insert(module.name.clone())) else {
                continue;
            };
            let value = |name: &str| {
                Ok::<_, Error>(model.params.require(name)?.tensor().detach().to_device(&Device::Cpu)?)
            };
            let with_offset = |own: Tensor, offset: String, dim| match plan.offset {
                false => Ok(own),
                true => Ok::<_, Error>(Tensor::cat(&[own, value(&offset)?], dim)?),
            };
            let a = with_offset(value(&plan.a())?, plan.offset_a(), 0)?;
            let more = plan.scale / (f64::from(alpha) / a.dim(0)? as f64);
            let b = parts(&module.name).into_iter().map(|(part, heads)| {
                let b = with_offset(value(&crate::adapter::b(&part.name))?, offset_b(&part.name), 1)?;
                heads.map_or(Ok(b.clone()), |heads| interleaved(&b, heads))
            });
            let b = Tensor::cat(&b.collect::<Result<Vec<_>>>()?, 0)?;
            let b = if (more - 1.0).abs() < 1e-9 { b } else { (b * more)? };
            for (tensor, which) in [(a, "lora_a"), (b, "lora_b")] {
                let name = format!("{}.{which}", weight(&module.name));
                let shape = tensor.dims().to_vec();
                tensors.push(Written {
                    name,
                    kind: Kind::F32,
                    shape,
                    make: Box::new(move || Ok(tensor.clone())),
                });
            }
        }
        write(path, &fields, &tensors)
    }

    /// Elements of the adapter's own parameters.
    ///
    /// # Errors
    /// A parameter that is missing.
    pub fn adapter_elements(&self, model: &Model) -> Result<usize> {
        let own = model.config.low_rank_names();
        let count = |name: &String| Ok(model.params.require(name)?.tensor().elem_count());
        own.iter().map(count).sum()
    }

    fn family(&self) -> Result<&'static Family> {
        Family::of_model(self.json()["model_type"].as_str().unwrap_or_default())
            .map_err(|error| Error::invalid(self.path(), error.to_string()))
    }

    /// What the model is called, by its directory or file.
    fn name(&self) -> &str {
        self.path().file_stem().and_then(|name| name.to_str()).unwrap_or("model")
    }
}

fn general(family: &Family, kind: &str, name: &str) -> Fields {
    let text = |key: &str, text: &str| (format!("general.{key}"), Field::Text(text.to_owned()));
    vec![text("architecture", family.gguf), text("type", kind), text("name", name)]
}

/// Rows `[rows, …]` of each head in the order of the file: halves of a head interleaved.
fn interleaved(tensor: &Tensor, heads: usize) -> Result<Tensor> {
    let rows = tensor.dim(0)?;
    let mut order = vec![0_u32; rows];
    (0..rows).for_each(|row| order[row_in_file(row, rows, heads)] = row as u32);
    Ok(tensor.contiguous()?.index_select(&Tensor::new(order, tensor.device())?, 0)?)
}

/// A tensor that is made when its turn comes.
struct Written<'a> {
    name: String,
    kind: Kind,
    shape: Vec<usize>,
    make: Box<dyn Fn() -> Result<Tensor> + 'a>,
}

fn write(path: &Path, fields: &Fields, tensors: &[Written<'_>]) -> Result<()> {
    let header: Vec<_> = tensors.iter().map(|it| (it.name.clone(), it.kind, it.shape.clone())).collect();
    let mut writer = GgufWriter::create(path, fields, &header)?;
    for tensor in tensors {
        let rows = (tensor.make)()?.to_device(&Device::Cpu)?.contiguous()?;
        writer.tensor(&quantised(&rows, tensor.kind)?)?;
    }
    Ok(writer.finish()?)
}

/// The bytes of a tensor, by candle's quantisers: rows are independent of one another, and shared among threads.
fn quantised(tensor: &Tensor, kind: Kind) -> Result<Vec<u8>> {
    // candle quantises all of a tensor's storage, whichever part of it the tensor is.
    let make = |part: &Tensor| {
        Ok(QTensor::quantize(&part.force_contiguous()?, blocks_of(kind))?.data()?.into_owned())
    };
    let rows = tensor.dim(0)?;
    if tensor.rank() < 2 {
        return make(tensor);
    }
    let pieces: Vec<usize> = (0..rows).step_by(ROWS).collect();
    let piece = |start: &usize| make(&tensor.narrow(0, *start, ROWS.min(rows - start))?);
    let pieces = pieces.par_iter().map(piece).collect::<Result<Vec<_>>>()?;
    Ok(pieces.concat())
}
