//! Qwen 2 and 2.5: biases on query, key and value. Qwen 3: norms of each head's queries and keys.

use super::fields::{Fields, most};
use super::rope;
use super::sizes::{Sizes, sliding, window, windows};
use crate::plan::LayerPlan;
use crate::{DecoderConfig, Result};

pub(super) fn qwen2(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, 1e-6)?;
    let biased = |mut layer: LayerPlan, _: usize| {
        let attention = &mut layer.attention;
        for linear in [&mut attention.query, &mut attention.key, &mut attention.value] {
            linear.bias = true;
        }
        layer
    };
    decoder(fields, &sizes, biased)
}

pub(super) fn qwen3(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::with_heads_of(fields, 128, 1e-6)?;
    let bias = fields.flag_or("attention_bias", false)?;
    let normalised = |layer: LayerPlan, index: usize| {
        let mut layer = layer.with_attention_biases(bias);
        let norms = ["self_attn.q_norm", "self_attn.k_norm"];
        layer.attention.head_norms = Some(norms.map(|name| sizes.norm(index, name, sizes.head_dim)));
        layer
    };
    decoder(fields, &sizes, normalised)
}

fn decoder(
    fields: &Fields<'_>,
    sizes: &Sizes,
    change: impl Fn(LayerPlan, usize) -> LayerPlan,
) -> Result<DecoderConfig> {
    let rotary = rope::rotary(fields, sizes.rope(10_000.0))?.of_whole_heads(fields, sizes.head_dim)?;
    let asked = fields.flag_or("use_sliding_window", false)?;
    let window = window(fields, Some(4096))?.filter(|_| asked);
    let first = fields.number_in("max_window_layers", 28.0, 0.0..=most::LAYERS as f64)?;
    let slides = sliding(fields, sizes.layers, |index| window.is_some() && index as f64 >= first)?;
    let windows = windows(fields, &slides, window)?;
    let activation = fields.activation("hidden_act", "silu")?;
    let layer = |index: usize| {
        let mut layer = change(sizes.layer(index), index);
        layer.attention.window = windows[index];
        layer.mlp.activation = activation;
        layer
    };
    sizes.decoder(fields, vec![rotary], (0..sizes.layers).map(layer).collect(), false)
}
