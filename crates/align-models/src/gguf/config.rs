//! What a file says of its model, as the `config.json` that it was converted from would.

use align_gguf::{GgufFile, Metadata};
use serde_json::{Value, json};

use super::families::Family;
use super::rope;
use crate::{Error, Result};

/// Sizes and numbers that all families have, by their names in files and in `config.json`.
const SIZES: [(&str, &str); 5] = [
    ("block_count", "num_hidden_layers"),
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
];

/// Numbers that some families have.
const MULTIPLIERS: [(&str, &str); 4] = [
    ("embedding_scale", "embedding_multiplier"),
    ("residual_scale", "residual_multiplier"),
    ("logit_scale", "logits_scaling"),
    ("attention.scale", "attention_multiplier"),
];

/// The metadata of one family.
pub(super) struct Of<'a> {
    pub(super) file: &'a GgufFile,
    pub(super) family: &'static Family,
}

impl<'a> Of<'a> {
    pub(super) fn metadata(&self) -> &'a Metadata {
        self.file.metadata()
    }

    /// The name of a key of the family.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.family.gguf)
    }

    pub(super) fn optional_size(&self, name: &str) -> Result<Option<usize>> {
        Ok(self.metadata().optional_size(&self.key(name))?)
    }

    pub(super) fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        Ok(self.metadata().optional_number(&self.key(name))?)
    }

    pub(super) fn size(&self, name: &str) -> Result<usize> {
        Ok(self.metadata().required(&self.key(name), self.optional_size(name)?)?)
    }

    pub(super) fn invalid(&self, problem: impl AsRef<str>) -> Error {
        Error::invalid(self.file.path(), problem)
    }

    fn has(&self, tensor: &str) -> bool {
        self.file.tensors().contains_key(tensor)
    }
}

/// The `config.json` of a file, and its family.
///
/// # Errors
/// A family that is not supported; what is missing, or would change the function and is not understood.
pub(super) fn read(file: &GgufFile) -> Result<(Value, &'static Family)> {
    let metadata = file.metadata();
    let kind = metadata.optional_text("general.type")?.unwrap_or("model");
    if kind != "model" {
        let kind = align_text::shortened(kind, 40);
        return Err(Error::invalid(
            file.path(),
            format!("is a GGUF file of type `{kind}`; expected a model"),
        ));
    }
    let architecture =
        metadata.required("general.architecture", metadata.optional_text("general.architecture")?)?;
    let family = Family::of_file(architecture).map_err(|problem| Error::invalid(file.path(), problem))?;
    let of = Of { file, family };
    refuse_other_models(&of)?;
    let mut config = json!({
        "architectures": [format!("{}ForCausalLM", family.class)],
        "model_type": family.model_type,
    });
    for (name, called) in SIZES {
        config[called] = json!(of.size(name)?);
    }
    let heads = of.size("attention.head_count")?;
    config["num_key_value_heads"] = json!(of.optional_size("attention.head_count_kv")?.unwrap_or(heads));
    config["rms_norm_eps"] = json!(of.optional_number("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5));
    let embedding = file.tensors().get("token_embd.weight");
    let embedding = embedding.ok_or_else(|| of.invalid("has no tensor `token_embd.weight`"))?;
    config["vocab_size"] = json!(embedding.shape.first().copied().unwrap_or(0));
    config["tie_word_embeddings"] = json!(!of.has("output.weight"));
    config["head_dim"] = json!(head_dim(&of, heads)?);
    config["hidden_act"] = json!("silu");
    for (name, called) in MULTIPLIERS {
        if let Some(number) = of.optional_number(name)? {
            if family.gguf != "granite" {
                return Err(
                    of.invalid(format!("`{}`: has no meaning in models of this family", of.key(name)))
                );
            }
            config[called] = json!(number);
        }
    }
    rope::read(&of, &mut config)?;
    own(&of, &mut config)?;
    for (name, called) in [("bos", "bos_token_id"), ("eos", "eos_token_id"), ("padding", "pad_token_id")] {
        if let Some(id) = metadata.optional_size(&format!("tokenizer.ggml.{name}_token_id"))? {
            config[called] = json!(id);
        }
    }
    config["torch_dtype"] = json!("float32");
    Ok((config, family))
}

/// The width of a head.
fn head_dim(of: &Of<'_>, heads: usize) -> Result<usize> {
    let (key, value) =
        (of.optional_size("attention.key_length")?, of.optional_size("attention.value_length")?);
    if let (Some(key), Some(value)) = (key, value)
        && key != value
    {
        return Err(of.invalid(format!("has keys of {key} and values of {value} elements; expected as many")));
    }
    let turned = of.optional_size("rope.dimension_count")?.filter(|_| of.family.gguf != "phi3");
    Ok(key.or(turned).unwrap_or(of.size("embedding_length")? / heads.max(1)))
}

/// Models that share a family's name and are something else.
fn refuse_other_models(of: &Of<'_>) -> Result<()> {
    if of.optional_size("expert_count")?.is_some_and(|experts| experts > 0) {
        return Err(of.invalid("is a mixture of experts, which is not supported"));
    }
    if of.metadata().optional_flag(&of.key("attention.causal"))? == Some(false) {
        return Err(of.invalid("is no causal language model (`attention.causal` is false)"));
    }
    Ok(())
}

/// What one family has beside the others.
fn own(of: &Of<'_>, config: &mut Value) -> Result<()> {
    let (layers, hidden) = (of.size("block_count")?, of.size("embedding_length")?);
    let heads = of.size("attention.head_count")?.max(1);
    let window = of.optional_size("attention.sliding_window")?.filter(|window| *window > 0);
    match of.family.gguf {
        "llama" | "granite" | "smollm3" => {
            config["attention_bias"] = json!(of.has("blk.0.attn_q.bias"));
            config["mlp_bias"] = json!(of.has("blk.0.ffn_gate.bias"));
            if of.family.gguf == "smollm3" {
                // As llama.cpp has it: the file says nothing.
                config["no_rope_layer_interval"] = json!(4);
            }
        }
        "qwen3" | "olmo2" => config["attention_bias"] = json!(of.has("blk.0.attn_q.bias")),
        "gemma" => config["hidden_activation"] = json!("gelu_pytorch_tanh"),
        "gemma2" | "gemma3" => {
            config["hidden_activation"] = json!("gelu_pytorch_tanh");
            config["sliding_window"] = json!(window.unwrap_or(4096));
            // Of the largest of either generation, queries are scaled by the width of the model's heads.
            let largest = matches!((of.family.gguf, layers), ("gemma2", 46) | ("gemma3", 62));
            let scaled_by =
                if largest { json!(hidden as f64 / heads as f64) } else { config["head_dim"].clone() };
            config["query_pre_attn_scalar"] = scaled_by;
        }
        "phi3" => config["sliding_window"] = json!(window),
        _ => {}
    }
    if of.family.gguf == "gemma2" {
        for (name, called, default) in [
            ("attn_logit_softcapping", "attn_logit_softcapping", 50.0),
            ("final_logit_softcapping", "final_logit_softcapping", 30.0),
        ] {
            config[called] = json!(of.optional_number(name)?.unwrap_or(default));
        }
    }
    if of.family.gguf == "gemma3" {
        config["sliding_window_pattern"] = json!(6);
        config["rope_local_base_freq"] = json!(of.optional_number("rope.freq_base_swa")?.unwrap_or(10_000.0));
        if let Some(cap) = of.optional_number("final_logit_softcapping")? {
            config["final_logit_softcapping"] = json!(cap);
        }
    }
    let slides = matches!(of.family.gguf, "gemma2" | "gemma3" | "phi3");
    match window {
        Some(window) if !slides => Err(of.invalid(format!(
            "has a sliding window of {window}, which is not supported in models of this family (`{}`)",
            of.family.gguf
        ))),
        _ => Ok(()),
    }
}
