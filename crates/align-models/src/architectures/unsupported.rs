//! What would change the function and is not understood.

use serde_json::Value;

use super::fields::Fields;
use crate::Result;
use crate::error::SHOWN;

/// Words for an architecture that is not supported: its name, and the nearest that is.
pub(super) fn architecture(model_type: &str, supported: &[&str]) -> String {
    let shared = |name: &&&str| name.bytes().zip(model_type.bytes()).take_while(|(a, b)| a == b).count();
    let nearest = supported.iter().max_by_key(shared).filter(|name| shared(name) >= 3);
    let nearest = nearest.map_or(String::new(), |name| format!("; the nearest is {name}"));
    let model_type = align_text::shortened(model_type, SHOWN);
    format!(
        "`model_type` is `{model_type}`, which is not supported{nearest}; supported: {}",
        supported.join(", ")
    )
}

/// Fields that change what some model computes, and their values that change nothing.
const CHANGES: [(&str, &str); 23] = [
    ("quantization_config", ""),
    ("use_bidirectional_attention", "false"),
    ("attention_chunk_size", ""),
    ("attn_temperature_tuning", "false"),
    ("attn_logit_softcapping", ""),
    ("final_logit_softcapping", ""),
    ("logit_scale", "1"),
    ("logits_scaling", "1"),
    ("attention_multiplier", "1"),
    ("embedding_multiplier", "1"),
    ("residual_multiplier", "1"),
    ("clip_qkv", ""),
    ("alibi", "false"),
    ("use_qk_norm", "false"),
    ("qk_layernorm", "false"),
    ("use_parallel_residual", "false"),
    ("num_experts", "0"),
    ("num_local_experts", "0"),
    ("n_routed_experts", "0"),
    ("query_pre_attn_scalar", ""),
    ("no_rope_layers", ""),
    ("layer_types", ""),
    ("partial_rotary_factor", "1"),
];

/// Refuses fields that the architecture's file did not ask for and that change the function of some model.
pub(super) fn check(fields: &Fields<'_>) -> Result<()> {
    let neutral = |value: &Value, neutral: &str| match value {
        Value::Number(number) => number.as_f64() == neutral.parse().ok(),
        Value::Bool(flag) => neutral.parse() == Ok(*flag),
        Value::Array(list) => list.is_empty() || list.iter().all(|value| value == "full_attention"),
        _ => false,
    };
    // What bitsandbytes quantised says so beside each weight.
    let is_known =
        |name: &str, value: &Value| name == "quantization_config" && value["quant_method"] == "bitsandbytes";
    let wrong = |(name, value): &(&str, &Value)| {
        !is_known(name, value)
            && CHANGES.iter().any(|(changes, nothing)| changes == name && !neutral(value, nothing))
    };
    match fields.unread().find(wrong) {
        Some((name, _)) => fields.fail(name, "nothing: it is not supported for this `model_type`"),
        None => Ok(()),
    }
}
