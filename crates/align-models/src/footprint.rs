//! The memory of a model, in bytes, by its plan and the headers of its files, before any of it is loaded.
//!
//! What a pass keeps is what the ops of `layer.rs` note on their tape: each is listed here with the tensors that it holds for its
//! way back. Passes are those of the CPU; numbers are f32 where nothing else is said; what has no size of tokens or weights is left out.

use align_kernels::{Head, Precision};

use crate::plan::{AttentionPlan, LinearPlan, MlpPlan};
use crate::weights::numbers_bytes;
use crate::{DecoderConfig, LayerPlan, ModelDir, Result, RewardHead, WeightBytes};

/// Bytes of a number in an activation.
const NUMBER: usize = 4;

/// The size of a pass: of one micro-batch through a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassSize {
    /// Tokens of the stream.
    pub tokens: usize,
    /// Rows of it that are wanted after the last layer: those that predict a label, or end an answer.
    pub rows: usize,
}

/// The bytes of a pass beside the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassBytes {
    /// Activations that stay from the forward pass until the whole backward pass is over.
    pub kept: u64,
    /// Logits that stay until the head has its gradients.
    pub logits: u64,
    /// What a layer needs beside them while it is gone back through, its forward pass included under gradient checkpointing.
    pub backward: u64,
    /// What a layer needs in a forward pass that keeps nothing.
    pub forward: u64,
}

impl std::ops::Add for PassSize {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { tokens: self.tokens + other.tokens, rows: self.rows + other.rows }
    }
}

impl std::iter::Sum for PassSize {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), std::ops::Add::add)
    }
}

impl DecoderConfig {
    /// The bytes of a pass of that size through the layers. [`PassBytes::logits`] are those of a language model's head: a reward
    /// model has none.
    pub fn pass_bytes(&self, size: PassSize, gradient_checkpointing: bool) -> PassBytes {
        let PassSize { tokens, rows } = size;
        let last = self.layers.len().saturating_sub(1);
        let inputs = self.inputs();
        let of_layer = |(index, layer): (usize, &LayerPlan)| {
            let size = PassSize { tokens, rows: if index == last { rows } else { tokens } };
            layer.kept(self.hidden, size, inputs)
        };
        let kept = || self.layers.iter().enumerate().map(of_layer);
        let largest = |of: &dyn Fn(&LayerPlan) -> usize| self.layers.iter().map(of).max().unwrap_or(0);
        let (largest_kept, checkpoints) =
            (kept().max().unwrap_or(0), tokens * self.hidden * self.layers.len());
        let back = tokens * largest(&|layer| layer.back_width(self.hidden));
        // The input and the result of the last norm, what the head takes them by, and the tables of rotations.
        let angles: usize = self.rotaries.iter().map(|rotary| rotary.dim).sum();
        let around = rows * self.hidden * if self.head.scale == 1.0 { 2 } else { 3 } + tokens * angles;
        let (layers, back) = match gradient_checkpointing {
            false => (kept().sum::<usize>(), back),
            true => (checkpoints, largest_kept + back),
        };
        PassBytes {
            kept: bytes(layers + around),
            logits: Head::kept_bytes(rows, self.vocab) as u64,
            backward: bytes(back),
            forward: bytes(tokens * largest(&|layer| layer.forward_width(self.hidden))),
        }
    }

    /// How the inputs of its linear layers are kept.
    fn inputs(&self) -> Inputs {
        match self.precision {
            _ if self.linears().any(|linear| linear.adapter.is_some()) => Inputs::OfAdapters,
            Precision::F32 => Inputs::Whole,
            Precision::Bf16 => Inputs::Rounded,
        }
    }

    /// The bytes of keys and values of so many tokens in generation.
    pub fn cache_bytes(&self, tokens: usize) -> u64 {
        let widths =
            self.layers.iter().map(|layer| layer.attention.key.outputs + layer.attention.value.outputs);
        let all = bytes(tokens.saturating_mul(widths.sum()));
        // Held in what they are rounded to.
        if self.precision == Precision::Bf16 { all / 2 } else { all }
    }
}

/// How the input of a linear layer is kept for the gradient of its weight, where nothing else keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inputs {
    /// In f32.
    Whole,
    /// In bf16, as the product reads it.
    Rounded,
    /// In f32, and for layers under an adapter alone: weights under adapters have no gradient.
    OfAdapters,
}

impl Inputs {
    /// Numbers of f32 that an input of these layers takes for a token.
    fn width(self, linears: &[&LinearPlan]) -> usize {
        let width = linears.first().map_or(0, |linear| linear.inputs);
        match self {
            Self::Whole => width,
            Self::Rounded => width.div_ceil(2),
            Self::OfAdapters if linears.iter().any(|linear| linear.adapter.is_some()) => width,
            Self::OfAdapters => 0,
        }
    }
}

fn bytes(numbers: usize) -> u64 {
    (numbers as u64).saturating_mul(NUMBER as u64)
}

impl LayerPlan {
    /// Numbers that a layer keeps for its way back: the rows that it got, and what its two branches keep. `rows` of a last layer are
    /// those that go on after its attention.
    fn kept(&self, hidden: usize, PassSize { tokens, rows }: PassSize, inputs: Inputs) -> usize {
        let attention = &self.attention;
        let output = attention.output.kept(rows)
            + if attention.post_norm.is_some() { rows * hidden } else { 0 }
            // Of some rows the mixed values are copied for the product behind them.
            + if rows < tokens { rows * inputs.width(&[&attention.output]) } else { 0 };
        tokens * hidden
            + attention.kept(tokens, inputs)
            + output
            + rows * hidden
            + self.mlp.kept(rows, inputs)
    }

    /// Numbers of a token at the widest moment of the way back: three gradients within the unit, or those of attention, beside the
    /// gradient that comes and the one that goes.
    fn back_width(&self, hidden: usize) -> usize {
        let AttentionPlan { query, key, value, .. } = &self.attention;
        let attention = 3 * query.outputs + 2 * key.outputs + value.outputs;
        (3 * self.mlp.gate.outputs).max(attention) + 2 * hidden
    }

    /// The same in a forward pass.
    fn forward_width(&self, hidden: usize) -> usize {
        let AttentionPlan { query, key, value, .. } = &self.attention;
        let attention = 2 * query.outputs + 2 * key.outputs + value.outputs;
        (3 * self.mlp.gate.outputs).max(attention) + 3 * hidden
    }
}

impl AttentionPlan {
    /// The normalised rows; queries, keys and values; their mixture, and the sum of each softmax.
    fn kept(&self, tokens: usize, inputs: Inputs) -> usize {
        let Self { query, key, value, .. } = self;
        let normalised = if self.norm.is_some() { inputs.width(&[query, key, value]) + 1 } else { 0 };
        let before_norms = if self.head_norms.is_some() { query.outputs + key.outputs } else { 0 };
        let width =
            normalised + before_norms + 2 * query.outputs + key.outputs + value.outputs + self.heads();
        tokens * width + [query, key, value].map(|linear| linear.kept(tokens)).iter().sum::<usize>()
    }
}

impl MlpPlan {
    /// The normalised rows, gate, up, and the unit.
    fn kept(&self, rows: usize, inputs: Inputs) -> usize {
        let Self { gate, up, down, .. } = self;
        let normalised = if self.norm.is_some() { inputs.width(&[gate, up]) + 1 } else { 0 };
        let behind = if self.post_norm.is_some() { down.outputs } else { 0 };
        let width = normalised + gate.outputs + up.outputs + inputs.width(&[down]) + behind;
        rows * width + [gate, up, down].map(|linear| linear.kept(rows)).iter().sum::<usize>()
    }
}

impl LinearPlan {
    /// What an adapter adds: `x Aᵀ`, the input without what is dropped and what drops it, what magnitudes multiply.
    fn kept(&self, rows: usize) -> usize {
        let Some(adapter) = &self.adapter else { return 0 };
        let dropped = if adapter.dropout > 0.0 { 2 * self.inputs } else { 0 };
        let turned = if adapter.magnitude { self.outputs } else { 0 };
        rows * (adapter.rank * if adapter.offset { 2 } else { 1 } + dropped + turned)
    }
}

impl ModelDir {
    /// What its weights take in memory, those of the base of an adapter, by the headers of its files.
    ///
    /// # Errors
    /// As [`ModelDir::load`], but for what headers do not say.
    pub fn weight_bytes(&self) -> Result<WeightBytes> {
        let config = self.on_disk();
        let mut table = config.backbone_tensors();
        if self.reward_head()?.is_none() || self.is_adapter() {
            table = config.tensors();
        }
        let held = self.bytes_of(&table)?;
        if self.on_disk() == self.base_config() {
            return Ok(held);
        }
        // Rows that it lacks.
        let shapes = self.base_config().weight_shapes();
        Ok(WeightBytes::of_shapes(shapes.iter().map(|(_, shape)| shape.as_slice())))
    }

    /// What weights of its shape take that are not read, but drawn.
    pub fn random_weight_bytes(&self) -> WeightBytes {
        let shapes = self.decoder_config().weight_shapes();
        WeightBytes::of_shapes(shapes.iter().map(|(_, shape)| shape.as_slice()))
    }

    /// Names and shapes of the parameters that are trained: all of them, or those of the adapter; under a reward head with its own.
    ///
    /// # Errors
    /// An adapter that does not fit the model.
    pub fn trained_shapes(&self, head: Option<RewardHead>) -> Result<Vec<(String, Vec<usize>)>> {
        let params = |tensors: Vec<crate::StoredTensor>| {
            let params = tensors.into_iter().flat_map(|tensor| tensor.params);
            params.map(|param| (param.name, param.shape)).collect::<Vec<_>>()
        };
        let config = self.decoder_config();
        Ok(match (self.adapter(), head) {
            (Some(adapter), None) => params(adapter.tensors(config)?.all()),
            (Some(_), Some(head)) => {
                let own = self.with_adapter_head(head);
                params(own.layout()?)
            }
            (None, None) => config.weight_shapes(),
            (None, Some(head)) => {
                [params(config.backbone_tensors()), head.weight_shapes(config.hidden)].concat()
            }
        })
    }
}

/// The bytes of parameters of these shapes, as numbers.
pub fn shapes_bytes<'a>(shapes: impl IntoIterator<Item = &'a (String, Vec<usize>)>) -> u64 {
    shapes.into_iter().map(|(_, shape)| numbers_bytes(shape)).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_bf16_the_inputs_of_products_take_half() {
        let json = serde_json::json!({
            "model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
            "hidden_act": "silu",
        });
        let mut config = crate::architectures::decoder_config("config.json".as_ref(), &json).unwrap();
        let size = PassSize { tokens: 50, rows: 50 };
        let kept = |precision| {
            config.precision = precision;
            [false, true]
                .map(|checkpointing| config.pass_bytes(size, checkpointing))
                .map(|it| (it.kept, it.backward))
        };
        let [whole, rounded] = [Precision::F32, Precision::Bf16].map(kept);
        // What two norms give, and the unit: 4 bytes a number, then 2. A checkpoint is no such input; the layer that runs again has them.
        let saved = 2 * 50 * (2 * 64 + 160);
        assert_eq!(whole[0].0 - rounded[0].0, 3 * saved);
        assert_eq!((whole[1].0, whole[1].1 - rounded[1].1), (rounded[1].0, saved));
    }
}
