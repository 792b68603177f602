//! SmolLM 3: every fourth layer has no positions.

use serde_json::Value;

use super::fields::{Fields, most};
use super::rope;
use super::sizes::{Sizes, sliding, window, windows};
use crate::{DecoderConfig, Result};

pub(super) fn decoder(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, 1e-6)?;
    let rotary = rope::rotary(fields, sizes.rope(2_000_000.0))?.of_whole_heads(fields, sizes.head_dim)?;
    let attention_bias = fields.flag_or("attention_bias", false)?;
    let mlp_bias = fields.flag_or("mlp_bias", false)?;
    let activation = fields.activation("hidden_act", "silu")?;
    let interval = fields.size_or("no_rope_layer_interval", 4, most::LAYERS)?;
    let turned = |value: &Value| value.as_u64().filter(|turned| *turned <= 1).map(|turned| turned == 1);
    let listed = fields.per_layer("no_rope_layers", sizes.layers, "0 (no positions) or 1", turned)?;
    let turned = listed.unwrap_or_else(|| (1..=sizes.layers).map(|layer| layer % interval != 0).collect());
    let asked = fields.flag_or("use_sliding_window", false)?;
    // A list of layer types holds whether or not a window was asked for, as in transformers.
    let window = window(fields, None)?.filter(|_| asked || fields.has("layer_types"));
    let slides = sliding(fields, sizes.layers, |index| window.is_some() && !turned[index])?;
    let windows = windows(fields, &slides, window)?;
    let layer = |index: usize| {
        let mut layer = sizes.layer(index).with_attention_biases(attention_bias).with_mlp_biases(mlp_bias);
        layer.attention.rotary = turned[index].then_some(0);
        layer.attention.window = windows[index];
        layer.mlp.activation = activation;
        layer
    };
    sizes.decoder(fields, vec![rotary], (0..sizes.layers).map(layer).collect(), true)
}
