//! Granite 3 and 4 (dense): four multipliers.

use super::fields::Fields;
use super::rope;
use super::sizes::Sizes;
use crate::{DecoderConfig, Result};

pub(super) fn decoder(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, 1e-6)?;
    let rotary = rope::rotary(fields, sizes.rope(10_000.0))?.of_whole_heads(fields, sizes.head_dim)?;
    let attention_bias = fields.flag_or("attention_bias", false)?;
    let mlp_bias = fields.flag_or("mlp_bias", false)?;
    let activation = fields.activation("hidden_act", "silu")?;
    let multiplier = |name: &str| fields.number_in(name, 1.0, 1e-9..=1e9);
    let (scale, residual_scale) = (multiplier("attention_multiplier")?, multiplier("residual_multiplier")?);
    let layer = |index: usize| {
        let mut layer = sizes.layer(index).with_attention_biases(attention_bias).with_mlp_biases(mlp_bias);
        layer.attention.scale = scale;
        layer.mlp.activation = activation;
        layer.residual_scale = residual_scale;
        layer
    };
    let mut decoder = sizes.decoder(fields, vec![rotary], (0..sizes.layers).map(layer).collect(), false)?;
    decoder.embedding_scale = multiplier("embedding_multiplier")?;
    decoder.head.scale = 1.0 / multiplier("logits_scaling")?;
    Ok(decoder)
}
