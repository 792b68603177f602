//! Llama 1 to 3 and all that share its layout (SmolLM, TinyLlama, Vicuna, …).
//!
//! Accepts config.json as written by transformers 4 (`rope_theta`, `rope_scaling`) and 5
//! (`rope_parameters`).

use std::path::Path;

use serde_json::Value;

use super::Fields;
use crate::{DecoderConfig, Error, Result, RopeScaling};

pub(super) fn decoder_config(path: &Path, config: &Value) -> Result<DecoderConfig> {
    let fields = Fields { path, config };
    let (hidden, heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
    let max_positions = fields.size_or("max_position_embeddings", 2048)?;
    let (rope_theta, rope_scaling) = rope(&fields, max_positions)?;
    let decoder = DecoderConfig {
        vocab: fields.size("vocab_size")?,
        hidden,
        intermediate: fields.size("intermediate_size")?,
        layers: fields.size("num_hidden_layers")?,
        heads,
        kv_heads: fields.size_or("num_key_value_heads", heads)?,
        head_dim: fields.size_or("head_dim", hidden / heads)?,
        norm_epsilon: fields.number_or("rms_norm_eps", 1e-6)?,
        rope_theta,
        rope_scaling,
        max_positions,
        sliding_window: None,
        attention_bias: fields.flag_or("attention_bias", false)?,
        mlp_bias: fields.flag_or("mlp_bias", false)?,
        tied_embeddings: fields.flag_or("tie_word_embeddings", false)?,
        initializer_range: fields.number_or("initializer_range", 0.02)?,
    };
    match fields.text_or("hidden_act", "silu")? {
        "silu" | "swish" => {}
        _ => return fields.fail("hidden_act", "silu"),
    }
    if !heads.is_multiple_of(decoder.kv_heads) {
        return fields.fail("num_key_value_heads", &format!("a divisor of num_attention_heads ({heads})"));
    }
    if decoder.head_dim == 0 || !decoder.head_dim.is_multiple_of(2) {
        return fields.fail("head_dim", "an even number (by default hidden_size / num_attention_heads)");
    }
    Ok(decoder)
}

fn rope(fields: &Fields<'_>, max_positions: usize) -> Result<(f32, RopeScaling)> {
    let parameters = fields.get("rope_parameters").or_else(|| fields.get("rope_scaling"));
    let Some(parameters) = parameters else {
        return Ok((fields.number_or("rope_theta", 10_000.0)? as f32, RopeScaling::None));
    };
    let inner = Fields { path: fields.path, config: parameters };
    let theta = inner.number_or("rope_theta", fields.number_or("rope_theta", 10_000.0)?)? as f32;
    let number = |name: &str| match inner.get(name).and_then(Value::as_f64) {
        Some(number) if number > 0.0 => Ok(number as f32),
        _ => inner.fail(name, "a positive number"),
    };
    let kind = inner.text_or("rope_type", inner.text_or("type", "default")?)?;
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: number("factor")? },
        "llama3" => RopeScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_max_positions: inner
                .number_or("original_max_position_embeddings", max_positions as f64)?
                as f32,
        },
        other => {
            let problem = format!("rope type `{other}` is not supported; supported: default, linear, llama3");
            return Err(Error::invalid(fields.path, problem));
        }
    };
    Ok((theta, scaling))
}
