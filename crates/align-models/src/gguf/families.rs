//! The families that GGUF files have, and what llama.cpp does to the weights of each.

use crate::{Error, Result};

/// A family of models as both sides call it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Family {
    /// `general.architecture`.
    pub(crate) gguf: &'static str,
    /// `model_type` of `config.json`.
    pub(crate) model_type: &'static str,
    /// The name of transformers' classes.
    pub(crate) class: &'static str,
    /// Whether rows of queries and keys lie so that neighbours are turned, where Hugging Face turns halves of a head.
    pub(crate) permuted: bool,
}

const fn family(gguf: &'static str, model_type: &'static str, class: &'static str, permuted: bool) -> Family {
    Family { gguf, model_type, class, permuted }
}

/// All of them; of those with one name in files, the first is what a file is read as.
const FAMILIES: [Family; 11] = [
    family("llama", "llama", "Llama", true),
    family("llama", "mistral", "Mistral", true),
    family("qwen2", "qwen2", "Qwen2", false),
    family("qwen3", "qwen3", "Qwen3", false),
    family("gemma", "gemma", "Gemma", false),
    family("gemma2", "gemma2", "Gemma2", false),
    family("gemma3", "gemma3_text", "Gemma3", false),
    family("phi3", "phi3", "Phi3", false),
    family("olmo2", "olmo2", "Olmo2", false),
    family("granite", "granite", "Granite", true),
    family("smollm3", "smollm3", "SmolLM3", true),
];

impl Family {
    /// That of the files which name it.
    ///
    /// # Errors
    /// One that is not supported.
    pub(crate) fn of_file(architecture: &str) -> std::result::Result<&'static Self, String> {
        FAMILIES.iter().find(|family| family.gguf == architecture).ok_or_else(|| {
            let mut names: Vec<&str> = FAMILIES.iter().map(|family| family.gguf).collect();
            names.dedup();
            let found = align_text::shortened(architecture, 60);
            format!(
                "`general.architecture`: `{found}` is not supported; supported in GGUF files: {}",
                names.join(", ")
            )
        })
    }

    /// That of a `model_type`.
    ///
    /// # Errors
    /// One that is not written.
    pub(crate) fn of_model(model_type: &str) -> Result<&'static Self> {
        FAMILIES.iter().find(|family| family.model_type == model_type).ok_or_else(|| {
            Error::Config(format!("models of type `{model_type}` are not written as GGUF files"))
        })
    }
}
