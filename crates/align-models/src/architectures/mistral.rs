//! Mistral: a window in all layers. Ministral (8B, 2410): in those that it lists. Ministral 3: queries far from the start
//! are scaled.

use super::fields::{Fields, most};
use super::rope::{self, Defaults};
use super::sizes::{Sizes, sliding, window, windows};
use crate::{DecoderConfig, QueryScaling, Result};

const SCALING: &str = "llama_4_scaling_beta";

pub(super) fn mistral(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, 1e-6)?;
    // transformers drops such a list: all layers have the window.
    fields.get("layer_types");
    let window = window(fields, Some(4096))?;
    decoder(fields, &sizes, &vec![window; sizes.layers])
}

pub(super) fn ministral(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, 1e-6)?;
    let window = window(fields, Some(4096))?;
    let slides = sliding(fields, sizes.layers, |_| true)?;
    decoder(fields, &sizes, &windows(fields, &slides, window)?)
}

pub(super) fn ministral3(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::with_heads_of(fields, 128, 1e-5)?;
    fields.get("layer_types");
    let scaling = match fields.object("rope_parameters")? {
        None => return fields.fail("rope_parameters", "those of Ministral 3"),
        Some(inner) => {
            let beta = inner.optional_number(SCALING, &(0.0..=1e6))?;
            let original =
                inner.size_or("original_max_position_embeddings", sizes.max_positions, most::POSITIONS)?;
            beta.map(|beta| QueryScaling { beta, original_max_positions: original })
        }
    };
    let window = window(fields, None)?;
    let decoder = decoder(fields, &sizes, &vec![window; sizes.layers])?;
    Ok(DecoderConfig { query_scaling: scaling, ..decoder })
}

fn decoder(fields: &Fields<'_>, sizes: &Sizes, windows: &[Option<usize>]) -> Result<DecoderConfig> {
    let defaults = Defaults { others: &[SCALING], ..sizes.rope(10_000.0) };
    let rotary = rope::rotary(fields, defaults)?.of_whole_heads(fields, sizes.head_dim)?;
    let activation = fields.activation("hidden_act", "silu")?;
    let layer = |index: usize| {
        let mut layer = sizes.layer(index);
        layer.attention.window = windows[index];
        layer.mlp.activation = activation;
        layer
    };
    sizes.decoder(fields, vec![rotary], (0..sizes.layers).map(layer).collect(), false)
}
