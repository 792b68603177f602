//! One short file per architecture: how its `config.json` maps onto the plan of a decoder.
//!
//! Read as transformers 4 writes it (`rope_theta`, `rope_scaling`) and as 5 does (`rope_parameters`, flat or per kind of
//! layer). What an architecture's file does not read and would change the function is refused.

mod fields;
mod gemma;
mod granite;
mod llama;
mod mistral;
mod olmo;
mod phi;
mod qwen;
mod rope;
mod sizes;
mod smollm;
mod unsupported;

use std::path::Path;

use fields::Fields;
use serde_json::Value;

use crate::{DecoderConfig, Error, Result};

type Read = fn(&Fields<'_>) -> Result<DecoderConfig>;

/// All that are supported, by `model_type`.
const FAMILIES: [(&str, Read); 14] = [
    ("gemma", gemma::gemma),
    ("gemma2", gemma::gemma2),
    ("gemma3_text", gemma::gemma3),
    ("granite", granite::decoder),
    ("llama", llama::decoder),
    ("ministral", mistral::ministral),
    ("ministral3", mistral::ministral3),
    ("mistral", mistral::mistral),
    ("olmo2", olmo::olmo2),
    ("olmo3", olmo::olmo3),
    ("phi3", phi::decoder),
    ("qwen2", qwen::qwen2),
    ("qwen3", qwen::qwen3),
    ("smollm3", smollm::decoder),
];

/// Reads the config of any supported architecture.
pub(crate) fn decoder_config(path: &Path, config: &Value) -> Result<DecoderConfig> {
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    if model_type.is_empty() {
        return Err(Error::invalid(path, "has no `model_type`; expected a Hugging Face model config"));
    }
    let Some((_, read)) = FAMILIES.iter().find(|(name, _)| *name == model_type) else {
        let names = FAMILIES.map(|(name, _)| name);
        return Err(Error::invalid(path, unsupported::architecture(model_type, &names)));
    };
    let fields = Fields::new(path, config);
    let decoder = read(&fields)?;
    unsupported::check(&fields)?;
    Ok(decoder)
}
