//! GGUF files as models: read as Hugging Face directories are, and written.

mod config;
mod families;
mod fields;
mod read;
mod rope;
mod tensors;
mod types;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use align_gguf::{GgufFile, tokenizer_files};
use serde_json::{Value, json};

pub(crate) use read::Gguf;
pub use types::GgufType;

use crate::Result;

/// A file that was opened, in the words of a Hugging Face directory.
pub(crate) struct Opened {
    pub(crate) gguf: Gguf,
    pub(crate) config: Value,
    pub(crate) carried: BTreeMap<&'static str, Vec<u8>>,
}

/// Opens a file: its config, and what a model that is made from it inherits.
///
/// # Errors
/// A file that is damaged, or a model or tokenizer that is not supported.
pub(crate) fn open(path: &Path) -> Result<Opened> {
    let file = GgufFile::open(path)?;
    let (config, family) = config::read(&file)?;
    let mut carried = tokenizer_files(file.metadata())?;
    // A chat model's turn ends with one token, its text with another.
    let ends = ["eos", "eot", "eom"]
        .map(|name| file.metadata().optional_size(&format!("tokenizer.ggml.{name}_token_id")));
    let mut ends =
        ends.into_iter().collect::<align_gguf::Result<Vec<_>>>()?.into_iter().flatten().collect::<Vec<_>>();
    ends.dedup();
    let generation = json!({ "eos_token_id": ends });
    carried.insert("generation_config.json", generation.to_string().into_bytes());
    Ok(Opened { gguf: Gguf { file, family }, config, carried })
}
