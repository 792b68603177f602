//! One trainable decoder for every architecture: the layers of its plan, and the norm behind them. It returns hidden
//! states; heads are separate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use align_kernels::{
    Head, Noise, Params, Precision, RmsNorm, Rope, Segments, Tape, Value, Weight, checkpoint, record,
};
use candle_core::{DType, Device, Result, Tensor};

use crate::adapter::Embedding;
use crate::layer::{Layer, norm};
use crate::{DecoderConfig, Neftune, Rotary, Stream};

/// A decoder over parameters that it shares with whoever holds the [`Params`].
#[derive(Clone, Debug)]
pub struct Decoder {
    config: DecoderConfig,
    /// Of each rotation, where they do not depend on the sequence's length.
    frequencies: Vec<Vec<f32>>,
    embedding: Embedding,
    layers: Vec<Arc<Layer>>,
    norm: RmsNorm,
    noise: Noise,
    neftune: Option<Neftune>,
    gradient_checkpointing: bool,
}

/// What the layers of a pass share.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) segments: Segments,
    pub(crate) rotations: Vec<Rope>,
    /// What queries are multiplied with, `[tokens, 1, 1]`, if not with 1.
    pub(crate) query_scales: Option<Tensor>,
}

/// The source of a layer's keys and values: the stream itself, or a cache that it extends.
pub trait KeyValues {
    /// Takes the stream's keys and values `[tokens, kv_heads, head_dim]` and returns all that its
    /// segments refer to.
    fn extend(&mut self, layer: usize, key: Tensor, value: Tensor) -> Result<(Tensor, Tensor)>;
}

impl Decoder {
    /// A decoder over `params`, which must hold every tensor of `config` by its Hugging Face name.
    ///
    /// # Errors
    /// If a parameter is missing.
    pub fn new(config: &DecoderConfig, params: &Params) -> Result<Self> {
        Ok(Self {
            frequencies: config.rotaries.iter().map(|rotary| rotary.inverse_frequencies(0)).collect(),
            embedding: Embedding::new(config, params)?,
            layers: config
                .layers
                .iter()
                .map(|plan| Ok(Arc::new(Layer::new(plan, params, config.precision)?)))
                .collect::<Result<_>>()?,
            norm: norm(&config.norm, params)?,
            noise: params.noise().clone(),
            neftune: None,
            gradient_checkpointing: false,
            config: config.clone(),
        })
    }

    /// Gradient checkpointing: whether [`Decoder::hidden`] keeps only each layer's input and computes the layer
    /// again for its gradient. Memory for one layer's activations instead of all layers', and one more forward
    /// pass. Results are the same to the bit.
    pub fn with_gradient_checkpointing(self, gradient_checkpointing: bool) -> Self {
        Self { gradient_checkpointing, ..self }
    }

    /// NEFTune: noise on the embedded tokens in training passes, if any.
    pub fn with_neftune(self, neftune: Option<Neftune>) -> Self {
        Self { neftune, ..self }
    }

    /// The decoder's shape.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The embedding table `[vocab, hidden]`, which is also the head of a tied model.
    pub fn embedding(&self) -> &Weight {
        self.embedding.table()
    }

    /// The head that is the embedding: of tied models, with the rows of it that are trained.
    pub fn embedding_as_head(&self) -> Head {
        let (weight, trained) = (self.embedding.table().clone(), self.embedding.trained().cloned());
        Head { weight, adapter: None, trained, softcap: None }
    }

    /// Hidden states after the last norm of the stream's rows `rows`, `[rows, hidden]`. For the other rows the last
    /// layer ends with the attention.
    ///
    /// # Errors
    /// If the stream has no such row.
    pub fn hidden(&self, stream: &Stream, rows: &[u32]) -> Result<Tensor> {
        self.through_layers(stream, rows, |index, layer, pass, rows, hidden| {
            let (layer, pass, draw) = (layer.clone(), pass.clone(), self.noise.draw(index));
            let run = move |tape: &mut Tape, x| {
                tape.draw_from(draw);
                layer.forward(tape, x, &pass, rows.as_ref(), None)
            };
            if self.gradient_checkpointing {
                checkpoint("layer", hidden, run)
            } else {
                record("layer", [hidden], |tape, [x]| run(tape, x))
            }
        })
    }

    /// [`Decoder::hidden`] with keys and values from `key_values`, without gradient.
    ///
    /// # Errors
    /// As [`Decoder::hidden`]; if a parameter is tracked.
    pub fn hidden_with(
        &self,
        stream: &Stream,
        rows: &[u32],
        key_values: &mut impl KeyValues,
    ) -> Result<Tensor> {
        self.through_layers(stream, rows, |index, layer, pass, rows, hidden| {
            let mut extend = |key: &Value, value: &Value| {
                key_values.extend(index, key.tensor().clone(), value.tensor().clone())
            };
            record("layer", [hidden], |tape, [x]| {
                layer.forward(tape, x, pass, rows.as_ref(), Some(&mut extend))
            })
        })
    }

    fn through_layers(
        &self,
        stream: &Stream,
        rows: &[u32],
        mut run: impl FnMut(usize, &Arc<Layer>, &Arc<Pass>, Option<Tensor>, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let device = self.device();
        let tokens = Tensor::new(stream.tokens.as_slice(), device)?;
        let pass = Arc::new(self.pass(stream)?);
        let every = rows.iter().copied().eq(0..stream.tokens.len() as u32);
        let mut rows = if every { None } else { Some(Tensor::new(rows, device)?) };
        let mut hidden = record("embedding", [], |tape, []| {
            let mut rows = self.embedding.forward(tape, &tokens)?;
            if let Some(neftune) = self.neftune {
                rows = neftune.add(tape, rows, stream, &self.noise)?;
            }
            tape.scale(rows, self.config.embedding_scale)
        })?;
        for (index, layer) in self.layers.iter().enumerate() {
            let wanted = if index + 1 == self.layers.len() { rows.take() } else { None };
            hidden = run(index, layer, &pass, wanted, &hidden)?;
        }
        record("norm", [&hidden], |tape, [x]| tape.rms_norm(&x, &self.norm))
    }

    fn pass(&self, stream: &Stream) -> Result<Pass> {
        let (device, dtype) = (self.device(), self.dtype());
        let lengths = if self.config.depends_on_length() { stream.sequence_lengths() } else { Vec::new() };
        let rotation = |(rotary, plain): (&Rotary, &Vec<f32>)| {
            let scaling = rotary.attention_scaling();
            if !rotary.depends_on_length() {
                return Rope::new(&stream.positions, plain, scaling, dtype, device);
            }
            let distinct: BTreeSet<u32> = lengths.iter().copied().collect();
            let frequencies: BTreeMap<u32, Vec<f32>> = distinct
                .into_iter()
                .map(|length| (length, rotary.inverse_frequencies(length as usize)))
                .collect();
            let rows = stream.positions.iter().zip(&lengths);
            let rows = rows.map(|(&position, length)| (position, frequencies[length].as_slice()));
            Rope::of_rows(rows, rotary.dim / 2, scaling, dtype, device)
        };
        let query_scales = self.config.query_scaling.and_then(|scaling| scaling.of(&stream.positions));
        let column = |scales: Vec<f32>| {
            Tensor::from_vec(scales, (stream.positions.len(), 1, 1), device)?.to_dtype(dtype)
        };
        Ok(Pass {
            segments: Segments::from(stream.segments.clone()),
            rotations: self
                .config
                .rotaries
                .iter()
                .zip(&self.frequencies)
                .map(rotation)
                .collect::<Result<_>>()?,
            query_scales: query_scales.map(column).transpose()?,
        })
    }

    /// The dtype that hidden states have.
    pub fn dtype(&self) -> DType {
        self.norm.weight().tensor().dtype()
    }

    /// The dtype that keys and values are kept in: with products in bf16 they are rounded to it in every pass, so that it loses
    /// nothing.
    pub(crate) fn cache_dtype(&self) -> DType {
        match (self.config.precision, self.dtype()) {
            (Precision::Bf16, DType::F32) if self.device().is_cpu() => DType::BF16,
            (_, dtype) => dtype,
        }
    }

    /// The device that hidden states are on.
    pub fn device(&self) -> &Device {
        self.norm.weight().device()
    }
}
