//! A decoder as a value: what its layers are made of, and what their weights are called on disk.
//!
//! An architecture file maps `config.json` onto it; everything after that file only sees this. Names stand here once:
//! loading, saving, initialisation and the layers read them from the plan.

mod rotary;
mod tensors;

use align_kernels::{Activation, Precision};

use crate::AdapterPlan;

pub use rotary::{RopeScaling, Rotary};
pub use tensors::{Init, StoredParam, StoredTensor};
pub(crate) use tensors::{bias, weight};

/// The plan of a decoder: everything that its mathematics depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Rows of the embedding.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Longest position the model was made for.
    pub max_positions: usize,
    /// Name of the embedding's module.
    pub embedding: String,
    /// The factor of embedded tokens.
    pub embedding_scale: f64,
    /// The embedding's adapter, if it has one.
    pub embedding_adapter: Option<AdapterPlan>,
    /// Tokens whose rows are trained while the others stay; of tied embeddings those of the head too.
    pub trained_tokens: Vec<u32>,
    /// The layers, from the embedding on.
    pub layers: Vec<LayerPlan>,
    /// The rotations that layers refer to.
    pub rotaries: Vec<Rotary>,
    /// The scaling of queries far from the start.
    pub query_scaling: Option<QueryScaling>,
    /// The norm behind the last layer.
    pub norm: NormPlan,
    /// The head: from hidden states to logits.
    pub head: HeadPlan,
    /// Tied embeddings: whether the head is the embedding.
    pub tied_embeddings: bool,
    /// Standard deviation of freshly initialised weights.
    pub initializer_range: f64,
    /// What operands of products with its weights are rounded to: no matter of the file, but of whoever computes.
    pub precision: Precision,
}

/// The scaling of queries by their position: `1 + β ln(1 + ⌊position / original_max_positions⌋)` (Llama 4,
/// Ministral 3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryScaling {
    /// β.
    pub beta: f64,
    /// Context length of the pre-training.
    pub original_max_positions: usize,
}

/// The plan of the head, from hidden states to logits.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadPlan {
    /// Name of its module, where it is not the embedding.
    pub name: String,
    /// The factor of logits.
    pub scale: f64,
    /// The soft cap of logits, after the factor.
    pub softcap: Option<f64>,
    /// Its adapter, if it has one: of the head alone, also where it is the embedding.
    pub adapter: Option<AdapterPlan>,
}

/// A layer: attention, then a feed-forward layer, each a branch that is added to the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerPlan {
    /// The first branch.
    pub attention: AttentionPlan,
    /// The second branch.
    pub mlp: MlpPlan,
    /// The factor of a branch before it is added.
    pub residual_scale: f64,
}

/// The attention of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionPlan {
    /// The norm in front.
    pub norm: Option<NormPlan>,
    /// `[heads · head_dim, hidden]`.
    pub query: LinearPlan,
    /// `[kv_heads · head_dim, hidden]`.
    pub key: LinearPlan,
    /// `[kv_heads · head_dim, hidden]`.
    pub value: LinearPlan,
    /// `[hidden, heads · head_dim]`.
    pub output: LinearPlan,
    /// Width of a head; need not be `hidden / heads`.
    pub head_dim: usize,
    /// Norms of queries and keys before they are turned, of each head or of the whole row, by their width.
    pub head_norms: Option<[NormPlan; 2]>,
    /// The rotation that turns queries and keys, by its number in the plan; none for a layer without positions.
    pub rotary: Option<usize>,
    /// Keys a query may look back, its own included; none for all.
    pub window: Option<usize>,
    /// The factor of the products of queries and keys.
    pub scale: f64,
    /// The soft cap of those products, after the factor.
    pub softcap: Option<f64>,
    /// The norm behind the branch.
    pub post_norm: Option<NormPlan>,
}

/// A gated feed-forward layer.
#[derive(Clone, Debug, PartialEq)]
pub struct MlpPlan {
    /// The norm in front.
    pub norm: Option<NormPlan>,
    /// `[intermediate, hidden]`.
    pub gate: LinearPlan,
    /// `[intermediate, hidden]`.
    pub up: LinearPlan,
    /// `[hidden, intermediate]`.
    pub down: LinearPlan,
    /// The activation that the gate goes through.
    pub activation: Activation,
    /// The norm behind the branch.
    pub post_norm: Option<NormPlan>,
}

/// An RMS norm.
#[derive(Clone, Debug, PartialEq)]
pub struct NormPlan {
    /// Name of its module.
    pub name: String,
    /// Width.
    pub width: usize,
    /// ε.
    pub epsilon: f64,
    /// Whether the norm multiplies with `1 + w`.
    pub around_zero: bool,
}

/// A linear layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearPlan {
    /// Name of its module.
    pub name: String,
    /// Rows of the weight.
    pub outputs: usize,
    /// Columns of the weight.
    pub inputs: usize,
    /// Whether the layer has a bias.
    pub bias: bool,
    /// Name of the module that holds it on disk, if others lie in the same tensor: rows of each, in the layers' order.
    pub fused_in: Option<String>,
    /// The adapter of the layer, if it has one.
    pub adapter: Option<AdapterPlan>,
}

impl QueryScaling {
    /// The factors at these positions; none if all are 1.
    pub(crate) fn of(self, positions: &[u32]) -> Option<Vec<f32>> {
        let rounds =
            |position: u32| position / u32::try_from(self.original_max_positions).unwrap_or(u32::MAX).max(1);
        let factor = |&position: &u32| (1.0 + self.beta * (1.0 + f64::from(rounds(position))).ln()) as f32;
        positions.iter().any(|&position| rounds(position) > 0).then(|| positions.iter().map(factor).collect())
    }
}

impl LayerPlan {
    /// The linear layers, in the order of the computation.
    pub fn linears(&self) -> impl Iterator<Item = &LinearPlan> {
        let (attention, mlp) = (&self.attention, &self.mlp);
        let first = [&attention.query, &attention.key, &attention.value, &attention.output];
        first.into_iter().chain([&mlp.gate, &mlp.up, &mlp.down])
    }
}

impl AttentionPlan {
    /// Query heads.
    pub fn heads(&self) -> usize {
        self.query.outputs / self.head_dim
    }

    /// Key and value heads.
    pub fn kv_heads(&self) -> usize {
        self.key.outputs / self.head_dim
    }
}

impl DecoderConfig {
    /// The plan that a `config.json` describes.
    ///
    /// # Errors
    /// An architecture that is not supported, a field that is wrong or not understood.
    pub fn from_json(config: &serde_json::Value) -> crate::Result<Self> {
        crate::architectures::decoder_config(std::path::Path::new("config.json"), config)
    }

    /// The linear layers, from the embedding on.
    pub fn linears(&self) -> impl Iterator<Item = &LinearPlan> {
        self.layers.iter().flat_map(LayerPlan::linears)
    }

    /// True if the rotation of a token depends on how long its sequence is.
    pub fn depends_on_length(&self) -> bool {
        self.rotaries.iter().any(|rotary| rotary.depends_on_length())
    }

    /// True if a sequence that grows from `from` tokens to `to` has another function at the end than on the way.
    pub fn changes_between(&self, from: usize, to: usize) -> bool {
        self.rotaries.iter().any(|rotary| rotary.changes_between(from, to))
    }
}
