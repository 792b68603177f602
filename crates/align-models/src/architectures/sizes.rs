//! The sizes that all families name alike, and a layer as Llama has it, which each family changes.

use align_kernels::{Activation, Precision};
use serde_json::Value;

use super::fields::{Fields, most};
use super::rope::Defaults;
use crate::plan::{AttentionPlan, HeadPlan, LayerPlan, LinearPlan, MlpPlan, NormPlan, Rotary};
use crate::{DecoderConfig, Result, RopeScaling};

pub(super) struct Sizes {
    pub(super) vocab: usize,
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    pub(super) max_positions: usize,
    pub(super) epsilon: f64,
}

impl Sizes {
    /// With heads of `hidden_size / num_attention_heads`, unless `head_dim` says otherwise.
    pub(super) fn read(fields: &Fields<'_>, epsilon: f64) -> Result<Self> {
        let hidden = fields.size("hidden_size", most::WIDTH)?;
        let heads = fields.size("num_attention_heads", most::HEADS)?;
        Self::with_heads_of(fields, hidden / heads, epsilon)
    }

    /// With heads of `head_dim`, unless the config says otherwise; `epsilon` is what norms have where it says nothing.
    pub(super) fn with_heads_of(fields: &Fields<'_>, head_dim: usize, epsilon: f64) -> Result<Self> {
        let heads = fields.size("num_attention_heads", most::HEADS)?;
        let sizes = Self {
            vocab: fields.size("vocab_size", most::VOCAB)?,
            hidden: fields.size("hidden_size", most::WIDTH)?,
            intermediate: fields.size("intermediate_size", most::WIDTH)?,
            layers: fields.size("num_hidden_layers", most::LAYERS)?,
            heads,
            kv_heads: fields.size_or("num_key_value_heads", heads, most::HEADS)?,
            head_dim: fields.size_or("head_dim", head_dim, most::HEADS)?,
            max_positions: fields.size_or("max_position_embeddings", 2048, most::POSITIONS)?,
            epsilon: fields.number_in("rms_norm_eps", epsilon, 1e-30..=1.0)?,
        };
        if !heads.is_multiple_of(sizes.kv_heads) {
            return fields
                .fail("num_key_value_heads", &format!("a divisor of num_attention_heads ({heads})"));
        }
        if sizes.head_dim == 0 || !sizes.head_dim.is_multiple_of(2) {
            return fields.fail("head_dim", "an even number (by default hidden_size / num_attention_heads)");
        }
        Ok(sizes)
    }

    /// What rotations have where the config says nothing.
    pub(super) fn rope(&self, theta: f64) -> Defaults {
        Defaults {
            theta,
            head_dim: self.head_dim,
            max_positions: self.max_positions,
            others: &[],
            original_max_positions: None,
            kinds: &[],
        }
    }

    /// A norm in layer `index`.
    pub(super) fn norm(&self, index: usize, name: &str, width: usize) -> NormPlan {
        let name = format!("model.layers.{index}.{name}");
        NormPlan { name, width, epsilon: self.epsilon, around_zero: false }
    }

    /// A layer of Llama: norms in front, no biases, the first rotation, no window.
    pub(super) fn layer(&self, index: usize) -> LayerPlan {
        let linear = |name: &str, outputs: usize, inputs: usize| {
            let name = format!("model.layers.{index}.{name}");
            LinearPlan { name, outputs, inputs, bias: false, fused_in: None, adapter: None }
        };
        let (hidden, inner) = (self.hidden, self.intermediate);
        let (rows, kv_rows) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        LayerPlan {
            attention: AttentionPlan {
                norm: Some(self.norm(index, "input_layernorm", hidden)),
                query: linear("self_attn.q_proj", rows, hidden),
                key: linear("self_attn.k_proj", kv_rows, hidden),
                value: linear("self_attn.v_proj", kv_rows, hidden),
                output: linear("self_attn.o_proj", hidden, rows),
                head_dim: self.head_dim,
                head_norms: None,
                rotary: Some(0),
                window: None,
                scale: 1.0 / (self.head_dim as f64).sqrt(),
                softcap: None,
                post_norm: None,
            },
            mlp: MlpPlan {
                norm: Some(self.norm(index, "post_attention_layernorm", hidden)),
                gate: linear("mlp.gate_proj", inner, hidden),
                up: linear("mlp.up_proj", inner, hidden),
                down: linear("mlp.down_proj", hidden, inner),
                activation: Activation::Silu,
                post_norm: None,
            },
            residual_scale: 1.0,
        }
    }

    /// A decoder of these layers.
    pub(super) fn decoder(
        &self,
        fields: &Fields<'_>,
        rotaries: Vec<Rotary>,
        layers: Vec<LayerPlan>,
        tied_by_default: bool,
    ) -> Result<DecoderConfig> {
        // What this scaling is for are positions beyond those of the config.
        let stretched = rotaries.iter().filter_map(|rotary| match rotary.scaling {
            RopeScaling::Dynamic { factor, .. } => {
                Some((self.max_positions as f64 * f64::from(factor)) as usize)
            }
            _ => None,
        });
        Ok(DecoderConfig {
            vocab: self.vocab,
            hidden: self.hidden,
            max_positions: stretched.max().unwrap_or(0).max(self.max_positions).min(most::POSITIONS),
            embedding: "model.embed_tokens".to_owned(),
            embedding_scale: 1.0,
            embedding_adapter: None,
            trained_tokens: Vec::new(),
            layers,
            rotaries,
            query_scaling: None,
            norm: NormPlan {
                name: "model.norm".to_owned(),
                width: self.hidden,
                epsilon: self.epsilon,
                around_zero: false,
            },
            head: HeadPlan { name: "lm_head".to_owned(), scale: 1.0, softcap: None, adapter: None },
            tied_embeddings: fields.flag_or("tie_word_embeddings", tied_by_default)?,
            initializer_range: fields.number_in("initializer_range", 0.02, 0.0..=1e6)?,
            precision: Precision::F32,
        })
    }
}

impl LayerPlan {
    /// Biases on query, key, value and output.
    pub(super) fn with_attention_biases(mut self, bias: bool) -> Self {
        let attention = &mut self.attention;
        for linear in [&mut attention.query, &mut attention.key, &mut attention.value, &mut attention.output]
        {
            linear.bias = bias;
        }
        self
    }

    /// Biases on the feed-forward projections.
    pub(super) fn with_mlp_biases(mut self, bias: bool) -> Self {
        for linear in [&mut self.mlp.gate, &mut self.mlp.up, &mut self.mlp.down] {
            linear.bias = bias;
        }
        self
    }
}

/// A window size: what the config says, `default` where it says nothing, none where it says null.
pub(super) fn window(fields: &Fields<'_>, default: Option<usize>) -> Result<Option<usize>> {
    let found = fields.optional_size("sliding_window", most::POSITIONS)?;
    Ok(if fields.has("sliding_window") { found } else { default })
}

/// Which layers look through the window: what `layer_types` says, else those that `by_default` says of their number.
pub(super) fn sliding(
    fields: &Fields<'_>,
    layers: usize,
    by_default: impl Fn(usize) -> bool,
) -> Result<Vec<bool>> {
    let kind = |value: &Value| match value.as_str()? {
        "sliding_attention" => Some(true),
        "full_attention" => Some(false),
        _ => None,
    };
    let expected = "full_attention or sliding_attention";
    let listed = fields.per_layer("layer_types", layers, expected, kind)?;
    Ok(listed.unwrap_or_else(|| (0..layers).map(by_default).collect()))
}

/// The window of each layer.
///
/// # Errors
/// If `layer_types` names layers with a window and there is none.
pub(super) fn windows(
    fields: &Fields<'_>,
    slides: &[bool],
    window: Option<usize>,
) -> Result<Vec<Option<usize>>> {
    if window.is_none() && fields.has("layer_types") && slides.contains(&true) {
        return fields
            .fail("sliding_window", "the window of the layers that `layer_types` calls sliding_attention");
    }
    Ok(slides.iter().map(|&slides| window.filter(|_| slides)).collect())
}
