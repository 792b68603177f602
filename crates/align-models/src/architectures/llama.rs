//! Llama 1 to 3 and all that share its layout (SmolLM 1 and 2, TinyLlama, Vicuna, …).

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
    let layer = |index| {
        let mut layer = sizes.layer(index).with_attention_biases(attention_bias).with_mlp_biases(mlp_bias);
        layer.mlp.activation = activation;
        layer
    };
    sizes.decoder(fields, vec![rotary], (0..sizes.layers).map(layer).collect(), false)
}
