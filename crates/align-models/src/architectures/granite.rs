//! Granite 3 and 4 (dense): Llama with four multipliers.

use super::fields::Fields;
use super::llama;
use crate::{DecoderConfig, Result};

pub(super) fn decoder(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let mut decoder = llama::decoder(fields)?;
    let multiplier = |name: &str| fields.number_in(name, 1.0, 1e-9..=1e9);
    let (scale, residual_scale) = (multiplier("attention_multiplier")?, multiplier("residual_multiplier")?);
    for layer in &mut decoder.layers {
        layer.attention.scale = scale;
        layer.residual_scale = residual_scale;
    }
    decoder.embedding_scale = multiplier("embedding_multiplier")?;
    decoder.head.scale = 1.0 / multiplier("logits_scaling")?;
    Ok(decoder)
}
