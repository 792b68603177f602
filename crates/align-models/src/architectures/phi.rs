//! Phi 3, 3.5, 4 and 4-mini: fused projections, heads that are turned in part.

use super::fields::Fields;
use super::rope::{self, Defaults};
use super::sizes::{Sizes, window};
use crate::{DecoderConfig, Result};

pub(super) fn decoder(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::read(fields, 1e-5)?;
    let kinds = &[("default", "default"), ("longrope", "longrope"), ("su", "longrope"), ("yarn", "longrope")];
    let defaults = Defaults { original_max_positions: Some(4096), kinds, ..sizes.rope(10_000.0) };
    let rotary = rope::rotary(fields, defaults)?;
    let window = window(fields, None)?;
    let activation = fields.activation("hidden_act", "silu")?;
    let layer = |index: usize| {
        let mut layer = sizes.layer(index);
        let fused = |name: &str| Some(format!("model.layers.{index}.{name}"));
        let attention = &mut layer.attention;
        for linear in [&mut attention.query, &mut attention.key, &mut attention.value] {
            linear.fused_in = fused("self_attn.qkv_proj");
        }
        for linear in [&mut layer.mlp.gate, &mut layer.mlp.up] {
            linear.fused_in = fused("mlp.gate_up_proj");
        }
        layer.attention.window = window;
        layer.mlp.activation = activation;
        layer
    };
    sizes.decoder(fields, vec![rotary], (0..sizes.layers).map(layer).collect(), false)
}
