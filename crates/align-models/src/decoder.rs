//! One trainable decoder for every architecture: pre-norm residual blocks of attention and a gated
//! feed-forward layer. It returns hidden states; heads are separate.

use std::sync::Arc;

use align_kernels::{Param, Params, Rope, Segments, Tape, Value, checkpoint, embedding, record, rms_norm};
use candle_core::{DType, Result, Tensor};

use crate::layer::Layer;
use crate::{DecoderConfig, Stream};

/// A decoder over parameters that it shares with whoever holds the [`Params`].
#[derive(Clone, Debug)]
pub struct Decoder {
    config: DecoderConfig,
    inverse_frequencies: Vec<f32>,
    embedding: Param,
    layers: Vec<Arc<Layer>>,
    norm: Param,
    gradient_checkpointing: bool,
}

/// What the layers of a pass share.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) segments: Segments,
    pub(crate) rotation: Rope,
}

/// Where a layer's keys and values come from: the stream itself, or a cache that it extends.
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
            inverse_frequencies: config.inverse_frequencies(),
            embedding: params.require("model.embed_tokens.weight")?.clone(),
            layers: (0..config.layers)
                .map(|index| Layer::new(config, params, index).map(Arc::new))
                .collect::<Result<_>>()?,
            norm: params.require("model.norm.weight")?.clone(),
            gradient_checkpointing: false,
            config: config.clone(),
        })
    }

    /// Whether [`Decoder::hidden`] keeps only each layer's input and computes the layer again for its gradient:
    /// memory for one layer's activations instead of all layers', and one more forward pass. Results are the same
    /// to the bit.
    pub fn with_gradient_checkpointing(self, gradient_checkpointing: bool) -> Self {
        Self { gradient_checkpointing, ..self }
    }

    /// The decoder's shape.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The embedding table `[vocab, hidden]`, which is also the head of a tied model.
    pub fn embedding(&self) -> &Param {
        &self.embedding
    }

    /// Hidden states after the last norm of the stream's rows `rows`, `[rows, hidden]`. For the other rows the last
    /// layer ends with the attention.
    ///
    /// # Errors
    /// If the stream has no such row.
    pub fn hidden(&self, stream: &Stream, rows: &[u32]) -> Result<Tensor> {
        self.through_layers(stream, rows, |_, layer, pass, rows, hidden| {
            let (layer, pass) = (layer.clone(), pass.clone());
            let run = move |tape: &mut Tape, x| layer.forward(tape, x, &pass, rows.as_ref());
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
                layer.forward_with(tape, x, pass, rows.as_ref(), &mut extend)
            })
        })
    }

    fn through_layers(
        &self,
        stream: &Stream,
        rows: &[u32],
        mut run: impl FnMut(usize, &Arc<Layer>, &Arc<Pass>, Option<Tensor>, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let device = self.embedding.device();
        let tokens = Tensor::new(stream.tokens.as_slice(), device)?;
        let rotation = Rope::new(&stream.positions, &self.inverse_frequencies, 1.0, self.dtype(), device)?;
        let pass = Arc::new(Pass { segments: Segments::from(stream.segments.clone()), rotation });
        let every = rows.iter().copied().eq(0..stream.tokens.len() as u32);
        let mut rows = if every { None } else { Some(Tensor::new(rows, device)?) };
        let mut hidden = embedding(&tokens, &self.embedding)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let wanted = if index + 1 == self.layers.len() { rows.take() } else { None };
            hidden = run(index, layer, &pass, wanted, &hidden)?;
        }
        rms_norm(&hidden, &self.norm, self.config.norm_epsilon)
    }

    /// The dtype that hidden states have.
    pub fn dtype(&self) -> DType {
        self.embedding.tensor().dtype()
    }
}
