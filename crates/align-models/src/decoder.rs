//! One trainable decoder for every architecture: pre-norm residual blocks of attention and a gated
//! feed-forward layer. It returns hidden states; heads are separate.

use std::sync::Arc;

use align_kernels::{
    AttentionBlock, Param, Params, Rope, Segment, attention_block, cached_attention_block, checkpoint,
    embedding, mlp_block, rms_norm,
};
use candle_core::{DType, Result, Tensor};

use crate::{DecoderConfig, Stream};

/// A decoder over parameters that it shares with whoever holds the [`Params`].
#[derive(Clone, Debug)]
pub struct Decoder {
    config: DecoderConfig,
    inverse_frequencies: Vec<f32>,
    embedding: Param,
    layers: Vec<Layer>,
    norm: Param,
    gradient_checkpointing: bool,
}

/// What the layers of a pass share.
#[derive(Debug)]
struct Pass {
    config: DecoderConfig,
    segments: Vec<Segment>,
    rotation: Rope,
    /// What is wanted of the last layer, if not every row.
    rows: Option<Tensor>,
}

#[derive(Clone, Debug)]
struct Layer {
    input_norm: Param,
    query: Projection,
    key: Projection,
    value: Projection,
    output: Projection,
    post_attention_norm: Param,
    gate: Projection,
    up: Projection,
    down: Projection,
}

#[derive(Clone, Debug)]
struct Projection {
    weight: Param,
    bias: Option<Param>,
}

/// Where a layer's keys and values come from: the stream itself, or a cache that it extends.
pub trait KeyValues {
    /// Takes the stream's keys and values `[tokens, kv_heads, head_dim]` and returns all that its
    /// segments refer to.
    fn extend(&mut self, layer: usize, key: Tensor, value: Tensor) -> Result<(Tensor, Tensor)>;
}

/// The stream's own keys and values: training and scoring.
#[derive(Debug)]
pub struct OwnKeyValues;

impl KeyValues for OwnKeyValues {
    fn extend(&mut self, _: usize, key: Tensor, value: Tensor) -> Result<(Tensor, Tensor)> {
        Ok((key, value))
    }
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
                .map(|index| Layer::new(config, params, index))
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
        self.through_layers(stream, rows, |index, layer, pass, hidden| {
            if !self.gradient_checkpointing {
                return layer.forward(index, &hidden, pass);
            }
            let (layer, pass) = (layer.clone(), pass.clone());
            checkpoint(&hidden, move |x| layer.forward(index, x, &pass))
        })
    }

    /// [`Decoder::hidden`] with keys and values from `key_values`.
    pub fn hidden_with(
        &self,
        stream: &Stream,
        rows: &[u32],
        key_values: &mut impl KeyValues,
    ) -> Result<Tensor> {
        self.through_layers(stream, rows, |index, layer, pass, hidden| {
            layer.forward_with(index, &hidden, pass, key_values)
        })
    }

    fn through_layers(
        &self,
        stream: &Stream,
        rows: &[u32],
        mut run: impl FnMut(usize, &Layer, &Arc<Pass>, Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let device = self.embedding.device();
        let tokens = Tensor::new(stream.tokens.as_slice(), device)?;
        let rotation = Rope::new(&stream.positions, &self.inverse_frequencies, 1.0, self.dtype(), device)?;
        let (config, segments) = (self.config.clone(), stream.segments.clone());
        let every = rows.iter().copied().eq(0..stream.tokens.len() as u32);
        let rows = if every { None } else { Some(Tensor::new(rows, device)?) };
        let pass = Arc::new(Pass { config, segments, rotation, rows });
        let mut hidden = embedding(&tokens, &self.embedding)?;
        for (index, layer) in self.layers.iter().enumerate() {
            hidden = run(index, layer, &pass, hidden)?;
        }
        rms_norm(&hidden, &self.norm, self.config.norm_epsilon)
    }

    /// The dtype that hidden states have.
    pub fn dtype(&self) -> DType {
        self.embedding.tensor().dtype()
    }
}

impl Pass {
    /// The rows that go on from layer `index`, if not all.
    fn wanted(&self, index: usize) -> Option<&Tensor> {
        self.rows.as_ref().filter(|_| index + 1 == self.config.layers)
    }
}

impl Layer {
    fn new(config: &DecoderConfig, params: &Params, index: usize) -> Result<Self> {
        let param = |name: &str| params.require(&format!("model.layers.{index}.{name}.weight")).cloned();
        let projection = |name: &str, with_bias: bool| -> Result<Projection> {
            let bias = || params.require(&format!("model.layers.{index}.{name}.bias")).cloned();
            Ok(Projection { weight: param(name)?, bias: with_bias.then(bias).transpose()? })
        };
        Ok(Self {
            input_norm: param("input_layernorm")?,
            query: projection("self_attn.q_proj", config.attention_bias)?,
            key: projection("self_attn.k_proj", config.attention_bias)?,
            value: projection("self_attn.v_proj", config.attention_bias)?,
            output: projection("self_attn.o_proj", config.attention_bias)?,
            post_attention_norm: param("post_attention_layernorm")?,
            gate: projection("mlp.gate_proj", config.mlp_bias)?,
            up: projection("mlp.up_proj", config.mlp_bias)?,
            down: projection("mlp.down_proj", config.mlp_bias)?,
        })
    }

    fn forward(&self, index: usize, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.feed_forward(&attention_block(x, &self.attention(pass), pass.wanted(index))?, pass)
    }

    fn forward_with(
        &self,
        index: usize,
        x: &Tensor,
        pass: &Pass,
        key_values: &mut impl KeyValues,
    ) -> Result<Tensor> {
        let extend = |key, value| key_values.extend(index, key, value);
        let x = cached_attention_block(x, &self.attention(pass), pass.wanted(index), extend)?;
        self.feed_forward(&x, pass)
    }

    fn attention<'a>(&'a self, pass: &'a Pass) -> AttentionBlock<'a> {
        AttentionBlock {
            norm: &self.input_norm,
            norm_epsilon: pass.config.norm_epsilon,
            query: self.query.parts(),
            key: self.key.parts(),
            value: self.value.parts(),
            output: self.output.parts(),
            head_dim: pass.config.head_dim,
            rotation: &pass.rotation,
            segments: &pass.segments,
            window: pass.config.sliding_window,
        }
    }

    fn feed_forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let layers = [&self.gate, &self.up, &self.down].map(Projection::parts);
        mlp_block(x, &self.post_attention_norm, pass.config.norm_epsilon, layers)
    }
}

impl Projection {
    fn parts(&self) -> (&Param, Option<&Param>) {
        (&self.weight, self.bias.as_ref())
    }
}
