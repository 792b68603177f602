//! Gemma: norms around zero, embeddings times √hidden. Gemma 2: norms on both sides of the branches, soft caps, a window in
//! every other layer. Gemma 3 (text): norms of each head, a window and another rotation in five of six layers.

use align_kernels::Activation;

use super::fields::{Fields, most};
use super::rope;
use super::sizes::{Sizes, sliding, window, windows};
use crate::plan::{LayerPlan, NormPlan};
use crate::{DecoderConfig, Result};

const THETA: f64 = 10_000.0;

pub(super) fn gemma(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::with_heads_of(fields, 256, 1e-6)?;
    let rotary = rope::rotary(fields, sizes.rope(THETA))?.of_whole_heads(fields, sizes.head_dim)?;
    let bias = fields.flag_or("attention_bias", false)?;
    // Early files say `gelu` and mean the other, as transformers does.
    let name = if fields.get("hidden_activation").is_some() { "hidden_activation" } else { "hidden_act" };
    fields.get("hidden_act");
    let activation = match fields.activation(name, "gelu_pytorch_tanh")? {
        Activation::Gelu => Activation::GeluTanh,
        other => other,
    };
    let layer = |index: usize| {
        let mut layer = sizes.layer(index).with_attention_biases(bias);
        layer.mlp.activation = activation;
        layer
    };
    around_zero(fields, &sizes, vec![rotary], (0..sizes.layers).map(layer).collect())
}

pub(super) fn gemma2(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::with_heads_of(fields, 256, 1e-6)?;
    let rotary = rope::rotary(fields, sizes.rope(THETA))?.of_whole_heads(fields, sizes.head_dim)?;
    let slides = sliding(fields, sizes.layers, |index| index % 2 == 0)?;
    let softcap = cap(fields, "attn_logit_softcapping", Some(50.0))?;
    let layers = sandwiched(fields, &sizes, &slides, softcap)?;
    let mut decoder = around_zero(fields, &sizes, vec![rotary], layers)?;
    decoder.head.softcap = cap(fields, "final_logit_softcapping", Some(30.0))?;
    Ok(decoder)
}

pub(super) fn gemma3(fields: &Fields<'_>) -> Result<DecoderConfig> {
    let sizes = Sizes::with_heads_of(fields, 256, 1e-6)?;
    let local = fields.number_in("rope_local_base_freq", THETA, 1.0..=1e15)?;
    let rotaries = rope::per_kind(fields, sizes.rope(1_000_000.0), local)?;
    let pattern = fields.size_or("sliding_window_pattern", 6, most::LAYERS)?;
    let slides = sliding(fields, sizes.layers, |index| (index + 1) % pattern != 0)?;
    // A cap of the attention is not read, as in transformers: one that is there is refused.
    let mut layers = sandwiched(fields, &sizes, &slides, None)?;
    for (index, layer) in layers.iter_mut().enumerate() {
        let norms = ["self_attn.q_norm", "self_attn.k_norm"];
        layer.attention.head_norms = Some(norms.map(|name| sizes.norm(index, name, sizes.head_dim)));
        layer.attention.rotary = Some(usize::from(slides[index]));
    }
    let mut decoder = around_zero(fields, &sizes, rotaries.into(), layers)?;
    decoder.head.softcap = cap(fields, "final_logit_softcapping", None)?;
    Ok(decoder)
}

/// Layers with norms on both sides of their branches; `softcap` is that of their attention.
fn sandwiched(
    fields: &Fields<'_>,
    sizes: &Sizes,
    slides: &[bool],
    softcap: Option<f64>,
) -> Result<Vec<LayerPlan>> {
    let bias = fields.flag_or("attention_bias", false)?;
    let activation = fields.activation("hidden_activation", "gelu_pytorch_tanh")?;
    // Some files name both.
    fields.get("hidden_act");
    let window = window(fields, Some(4096))?;
    let scale = 1.0 / fields.number_in("query_pre_attn_scalar", 256.0, 1e-6..=1e12)?.sqrt();
    let windows = windows(fields, slides, window)?;
    let layer = |index: usize| {
        let mut layer = sizes.layer(index).with_attention_biases(bias);
        let norm = |name: &str| Some(sizes.norm(index, name, sizes.hidden));
        layer.attention.post_norm = norm("post_attention_layernorm");
        layer.attention.window = windows[index];
        (layer.attention.scale, layer.attention.softcap) = (scale, softcap);
        layer.mlp.norm = norm("pre_feedforward_layernorm");
        layer.mlp.post_norm = norm("post_feedforward_layernorm");
        layer.mlp.activation = activation;
        layer
    };
    Ok((0..sizes.layers).map(layer).collect())
}

/// A cap: what the config says, `default` where it says nothing, none where it says null.
fn cap(fields: &Fields<'_>, name: &str, default: Option<f64>) -> Result<Option<f64>> {
    let found = fields.optional_number(name, &(1e-3..=1e9))?;
    Ok(if fields.has(name) { found } else { default })
}

/// The decoder with norms around zero, and scaled embeddings.
fn around_zero(
    fields: &Fields<'_>,
    sizes: &Sizes,
    rotaries: Vec<crate::Rotary>,
    mut layers: Vec<LayerPlan>,
) -> Result<DecoderConfig> {
    let turn = |norm: &mut NormPlan| norm.around_zero = true;
    for LayerPlan { attention, mlp, .. } in &mut layers {
        let norms = [&mut attention.norm, &mut attention.post_norm, &mut mlp.norm, &mut mlp.post_norm];
        norms.into_iter().flatten().for_each(turn);
        attention.head_norms.iter_mut().flatten().for_each(turn);
    }
    let mut decoder = sizes.decoder(fields, rotaries, layers, true)?;
    turn(&mut decoder.norm);
    // transformers rounds the factor to the dtype that it computes in.
    decoder.embedding_scale = f64::from((sizes.hidden as f32).sqrt());
    Ok(decoder)
}
