//! OLMo 2 and 3: norms behind the branches, and of whole rows of queries and keys. OLMo 3: a window in three of four layers.

use super::fields::Fields;
use super::rope;
use super::sizes::{Sizes, sliding, window, windows};
use crate::plan::LayerPlan;
use crate::{DecoderConfig, Result};

pub(super) fn olmo2(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, 1e-5)?;
    let rotary = rope::rotary(fields, sizes.rope(10_000.0))?.of_whole_heads(fields, sizes.head_dim)?;
    let layers = layers(fields, &sizes)?;
    sizes.decoder(fields, vec![rotary], layers, false)
}

pub(super) fn olmo3(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, 1e-5)?;
    let theta = fields.number_in("rope_theta", 500_000.0, 1.0..=1e15)?;
    let rotaries = rope::per_kind(fields, sizes.rope(500_000.0), theta)?;
    let window = window(fields, Some(4096))?;
    let slides = sliding(fields, sizes.layers, |index| (index + 1) % 4 != 0)?;
    let mut layers = layers(fields, &sizes)?;
    let windows = windows(fields, &slides, window)?;
    for (layer, (slides, window)) in layers.iter_mut().zip(slides.into_iter().zip(windows)) {
        layer.attention.window = window;
        layer.attention.rotary = Some(usize::from(slides));
    }
    sizes.decoder(fields, rotaries.into(), layers, false)
}

fn layers(fields: &Fields<'_>, sizes: &Sizes) -> Result<Vec<LayerPlan>> {
    let bias = fields.flag_or("attention_bias", false)?;
    let activation = fields.activation("hidden_act", "silu")?;
    let layer = |index: usize| {
        let mut layer = sizes.layer(index).with_attention_biases(bias);
        let norm = |name: &str, width: usize| sizes.norm(index, name, width);
        layer.attention.norm = None;
        layer.attention.head_norms = Some([
            norm("self_attn.q_norm", layer.attention.query.outputs),
            norm("self_attn.k_norm", layer.attention.key.outputs),
        ]);
        layer.attention.post_norm = Some(norm("post_attention_layernorm", sizes.hidden));
        layer.mlp.norm = None;
        layer.mlp.post_norm = Some(norm("post_feedforward_layernorm", sizes.hidden));
        layer.mlp.activation = activation;
        layer
    };
    Ok((0..sizes.layers).map(layer).collect())
}
