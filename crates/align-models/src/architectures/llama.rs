//! Llama 1 to 3 and all that share its layout (SmolLM, TinyLlama, Vicuna, …).
//!
//! Accepts config.json as written by transformers 4 (`rope_theta`, `rope_scaling`) and 5
//! (`rope_parameters`).

use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::Value;

use super::{Fields, most};
use crate::{DecoderConfig, Error, Result, RopeScaling};

pub(super) fn decoder_config(path: &Path, config: &Value) -> Result<DecoderConfig> {
    let fields = Fields { path, config };
    let (hidden, heads) =
        (fields.size("hidden_size", most::WIDTH)?, fields.size("num_attention_heads", most::HEADS)?);
    let max_positions = fields.size_or("max_position_embeddings", 2048, most::POSITIONS)?;
    let (rope_theta, rope_scaling) = rope(&fields, max_positions)?;
    let decoder = DecoderConfig {
        vocab: fields.size("vocab_size", most::VOCAB)?,
        hidden,
        intermediate: fields.size("intermediate_size", most::WIDTH)?,
        layers: fields.size("num_hidden_layers", most::LAYERS)?,
        heads,
        kv_heads: fields.size_or("num_key_value_heads", heads, most::HEADS)?,
        head_dim: fields.size_or("head_dim", hidden / heads, most::HEADS)?,
        norm_epsilon: fields.number_in("rms_norm_eps", 1e-6, 1e-30..=1.0)?,
        rope_theta,
        rope_scaling,
        max_positions,
        sliding_window: None,
        attention_bias: fields.flag_or("attention_bias", false)?,
        mlp_bias: fields.flag_or("mlp_bias", false)?,
        tied_embeddings: fields.flag_or("tie_word_embeddings", false)?,
        initializer_range: fields.number_in("initializer_range", 0.02, 0.0..=1e6)?,
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

/// Bases of the rotary embedding, and factors of its scalings: as wide as any model has them, and so that no frequency is
/// infinite or lost in f32.
const THETAS: RangeInclusive<f64> = 1.0..=1e15;
const FACTORS: RangeInclusive<f64> = 1e-6..=1e9;

fn rope(fields: &Fields<'_>, max_positions: usize) -> Result<(f32, RopeScaling)> {
    let theta = fields.number_in("rope_theta", 10_000.0, THETAS)?;
    let parameters = match fields.object("rope_parameters")? {
        None => fields.object("rope_scaling")?,
        found => found,
    };
    let Some(inner) = parameters else { return Ok((theta as f32, RopeScaling::None)) };
    let theta = inner.number_in("rope_theta", theta, THETAS)? as f32;
    let factor = |name: &str| Ok::<_, Error>(inner.number_in(name, f64::NAN, FACTORS)? as f32);
    let kind = inner.text_or("rope_type", inner.text_or("type", "default")?)?;
    let scaling = match kind {
        "default" => RopeScaling::None,
        "linear" => RopeScaling::Linear { factor: factor("factor")? },
        "llama3" => {
            let positions = 1.0..=most::POSITIONS as f64;
            let original =
                inner.number_in("original_max_position_embeddings", max_positions as f64, positions)?;
            let (low_freq_factor, high_freq_factor) =
                (factor("low_freq_factor")?, factor("high_freq_factor")?);
            if high_freq_factor <= low_freq_factor {
                return inner
                    .fail("high_freq_factor", &format!("more than low_freq_factor ({low_freq_factor})"));
            }
            RopeScaling::Llama3 {
                factor: factor("factor")?,
                low_freq_factor,
                high_freq_factor,
                original_max_positions: original as f32,
            }
        }
        other => {
            let problem = format!("rope type `{other}` is not supported; supported: default, linear, llama3");
            return Err(Error::invalid(fields.path, problem));
        }
    };
    Ok((theta, scaling))
}
