//! Models through llama.cpp's files and back: the same function, in every family that has such files.

use align_models::{GgufType, Model, ModelDir, Packed};
use serde_json::{Value, json};

use super::models::{Golden, goldens};
use super::{CPU, worst};

/// Families and switches that llama.cpp's files have no words for, and what is said of them.
const REFUSED: [(&str, &str); 7] = [
    ("llama-rope-dynamic", "rotations scaled by `dynamic`"),
    ("llama-rope-longrope", "rotations scaled by `longrope`"),
    ("ministral", "models of type `ministral`"),
    ("ministral3", "models of type `ministral3`"),
    ("olmo3", "models of type `olmo3`"),
    ("llama-rope-yarn-options", "its rotations"),
    ("smollm3-window", "what layer 1"),
];

/// What goldens have that no released model of the family has, and files do not say: as the family has it.
const WITHIN: [(&str, &str); 2] = [
    ("gemma2", r#"{ "query_pre_attn_scalar": 12 }"#),
    (
        "gemma3",
        r#"{ "query_pre_attn_scalar": 12, "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention"] }"#,
    ),
];

/// A tokenizer of that many tokens: bytes, and special tokens.
fn tokenizer(vocab: usize) -> Value {
    // GPT-2's letters for bytes: those that can be seen stand for themselves, the others follow from 256 on.
    let seen = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut next = 255;
    let letters = (0..256).map(|byte| {
        let letter = if seen(byte) {
            byte
        } else {
            next += 1;
            next
        };
        char::from_u32(letter).unwrap().to_string()
    });
    let letters: Vec<String> = letters.collect();
    let ids: serde_json::Map<String, Value> =
        letters.into_iter().zip(0..).map(|(it, id)| (it, json!(id))).collect();
    let added = (256..vocab).map(|id| {
        json!({ "id": id, "content": format!("<|{id}|>"), "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true })
    });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": null, "post_processor": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": ids,
            "merges": [] },
    })
}

impl Golden {
    /// The model with a tokenizer, and what it is in memory.
    fn with_tokenizer(&self, dir: &std::path::Path) -> (ModelDir, Model) {
        for entry in std::fs::read_dir(self.dir.path()).unwrap().flatten() {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
            }
        }
        if let Some(changes) = WITHIN.iter().find(|(name, _)| *name == self.name) {
            let path = dir.join("config.json");
            let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let changes: Value = serde_json::from_str(changes.1).unwrap();
            config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            std::fs::write(path, config.to_string()).unwrap();
        }
        let vocab = self.dir.decoder_config().vocab;
        std::fs::write(dir.join("tokenizer.json"), tokenizer(vocab).to_string()).unwrap();
        let names = json!({ "eos_token": "<|257|>", "bos_token": "<|256|>", "add_bos_token": false });
        std::fs::write(dir.join("tokenizer_config.json"), names.to_string()).unwrap();
        let dir = ModelDir::open(dir).unwrap();
        let model = dir.model(&CPU).unwrap();
        (dir, model)
    }
}

fn logits(golden: &Golden, model: &Model) -> Vec<f32> {
    let (model, packed) = (model.causal_lm().unwrap(), golden.packed());
    let rows: Vec<u32> = (0..packed.stream.tokens.len() as u32).collect();
    let hidden = model.decoder().hidden(&packed.stream, &rows).unwrap();
    model.next_token_logits(&hidden, 1.0).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn every_family_is_the_same_through_a_gguf_file() {
    let mut ran = 0;
    for golden in goldens() {
        let (source, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (dir, model) = golden.with_tokenizer(source.path());
        let path = place.path().join("model.gguf");
        let saved = dir.save_gguf(&model, &path, GgufType::F32);
        if let Some((_, words)) = REFUSED.iter().find(|(name, _)| *name == golden.name) {
            let error = saved.unwrap_err().to_string();
            assert!(error.contains(words), "{}: {error}", golden.name);
            continue;
        }
        saved.unwrap_or_else(|error| panic!("{}: {error}", golden.name));
        let read = ModelDir::open(&path).unwrap();
        let windows =
            |dir: &ModelDir| dir.decoder_config().layers.iter().any(|it| it.attention.window.is_some());
        if windows(&dir) && !windows(&read) {
            // llama.cpp has no window there, so the file is for what fits into it.
            let window =
                dir.decoder_config().layers.iter().filter_map(|it| it.attention.window).min().unwrap();
            assert_eq!(read.decoder_config().max_positions, window, "{}", golden.name);
            continue;
        }
        let again = read.model(&CPU).unwrap();
        let apart = worst(&logits(&golden, &again), &logits(&golden, &model));
        println!("{}: worst logit difference through a file {apart:.1e}", golden.name);
        assert!(apart < 1e-4, "{}: {apart}", golden.name);
        ran += 1;
    }
    assert!(ran > 0);
}

#[test]
fn a_file_of_llama_cpp_says_what_llama_cpp_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/gguf/sentencepiece");
    let expected: Value = serde_json::from_slice(&std::fs::read(format!("{path}.json")).unwrap()).unwrap();
    let dir = ModelDir::open(format!("{path}.gguf").as_ref()).unwrap();
    let model = dir.model(&CPU).unwrap().causal_lm().unwrap();
    let mut tokens: Vec<u32> = serde_json::from_value(expected["prompt"].clone()).unwrap();
    for step in expected["greedy"].as_array().unwrap() {
        let mut packed = Packed::default();
        packed.push_sequence(&tokens, &vec![true; tokens.len()]);
        let hidden = model.decoder().hidden(&packed.stream, &[tokens.len() as u32 - 1]).unwrap();
        let logits = model.next_token_logits(&hidden, 1.0).unwrap();
        let logits = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
        let log_probs: Vec<f32> = logits.iter().map(|logit| logit - sum.ln() as f32).collect();
        for top in step["top"].as_array().unwrap() {
            let (id, theirs) = (top[0].as_u64().unwrap() as usize, top[1].as_f64().unwrap() as f32);
            assert!((log_probs[id] - theirs).abs() < 1e-4, "token {id}: {} for {theirs}", log_probs[id]);
        }
        let best = (0..log_probs.len()).max_by(|a, b| log_probs[*a].total_cmp(&log_probs[*b])).unwrap();
        assert_eq!(best as u64, step["id"].as_u64().unwrap());
        tokens.push(best as u32);
    }
}
