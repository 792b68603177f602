//! The models that are replayed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use align_models::ModelDir;
use candle_core::{DType, Tensor};
use serde_json::Value;

use super::CPU;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/models");

/// The language models that are shipped: less of them would prove less.
pub(super) const NAMES: [&str; 28] = [
    "gemma",
    "gemma2",
    "gemma3",
    "granite",
    "granite-bias",
    "llama",
    "llama-bias",
    "llama-rope-dynamic",
    "llama-rope-linear",
    "llama-rope-llama3",
    "llama-rope-longrope",
    "llama-rope-yarn",
    "llama-rope-yarn-options",
    "llama-sharded-bf16",
    "llama-tied",
    "ministral",
    "ministral3",
    "mistral",
    "olmo2",
    "olmo3",
    "phi3",
    "phi3-longrope",
    "qwen2",
    "qwen2-window",
    "qwen3",
    "qwen3-bias",
    "smollm3",
    "smollm3-window",
];

/// A model of the folder, its expectations, and its sequences without padding.
pub(super) struct Golden {
    pub(super) name: String,
    pub(super) dir: ModelDir,
    pub(super) expected: Value,
    pub(super) tensors: HashMap<String, Tensor>,
    pub(super) sequences: Vec<Vec<u32>>,
}

/// All shipped language models; or of a folder of somebody's own those whose architecture is supported.
pub(super) fn goldens() -> Vec<Golden> {
    let Some(folder) = std::env::var_os("ALIGN_GOLDEN_MODELS").map(PathBuf::from) else {
        let goldens: Vec<_> = language_models(Path::new(SHIPPED))
            .into_iter()
            .map(|(path, expected)| golden(&path, expected).unwrap())
            .collect();
        assert_eq!(goldens.iter().map(|golden| golden.name.as_str()).collect::<Vec<_>>(), NAMES);
        return goldens;
    };
    let (mut goldens, mut skipped) = (Vec::new(), 0);
    for (path, expected) in language_models(&folder) {
        match golden(&path, expected) {
            Ok(golden) => goldens.push(golden),
            Err(error) => {
                println!("{}: skipped, {error}", path.display());
                assert!(error.to_string().contains("supported"), "{error}");
                skipped += 1;
            }
        }
    }
    println!("{}: {} language models, {skipped} skipped", folder.display(), goldens.len());
    assert!(!goldens.is_empty(), "no golden model in {}", folder.display());
    goldens
}

/// Folders of language models, by name, with what is expected of them.
fn language_models(folder: &Path) -> Vec<(PathBuf, Value)> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let expected = |path: PathBuf| {
        let text = std::fs::read_to_string(path.join("expected.json")).ok()?;
        let expected: Value = serde_json::from_str(&text).unwrap();
        expected.get("generated_min_new_tokens_20")?;
        Some((path, expected))
    };
    paths.into_iter().filter_map(expected).collect()
}

fn golden(path: &Path, expected: Value) -> align_models::Result<Golden> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let dir = ModelDir::open(path)?;
    let tensors = candle_core::safetensors::load(path.join("expected.safetensors"), &CPU).unwrap();
    let ids = tensors["input_ids"].to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let mask = tensors["attention_mask"].to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let real = |(ids, mask): (Vec<u32>, Vec<u32>)| {
        ids.into_iter().zip(mask).filter(|p| p.1 == 1).map(|p| p.0).collect()
    };
    let sequences = ids.into_iter().zip(mask).map(real).collect();
    Ok(Golden { name, dir, expected, tensors, sequences })
}
