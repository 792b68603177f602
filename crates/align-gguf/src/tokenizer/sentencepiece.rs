//! SentencePiece's BPE: merges are not in the file, the vocabulary implies them.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Parts, UNKNOWN, Vocabulary};
use crate::Result;

const SCORES: &str = "tokenizer.ggml.scores";
const PREFIX: &str = "tokenizer.ggml.add_space_prefix";
/// A space in a vocabulary.
const SPACE: &str = "▁";

pub(super) fn parts(vocabulary: &Vocabulary<'_>) -> Result<Parts> {
    let metadata = vocabulary.metadata;
    let scores = metadata.required(SCORES, metadata.optional_numbers(SCORES)?)?;
    if scores.len() != vocabulary.tokens.len() {
        return Err(metadata.wrong(SCORES, &format!("one for each of {} tokens", vocabulary.tokens.len())));
    }
    // Gemma's files write tokens of several spaces as such, and score all tokens so that their order is another one.
    let is_gemma = metadata.optional_text("general.architecture")?.is_some_and(|it| it.starts_with("gemma"));
    let written = |token: &str| match token {
        spaces if is_gemma && spaces.len() > 1 && spaces.chars().all(|it| it == ' ') => {
            SPACE.repeat(spaces.len())
        }
        other => other.to_owned(),
    };
    let tokens: Vec<(usize, String)> = vocabulary.used().map(|(id, token)| (id, written(token))).collect();
    let ids: HashMap<&str, usize> = tokens.iter().rev().map(|(id, token)| (token.as_str(), *id)).collect();
    let score = |id: usize| if is_gemma { -(id as f64) } else { scores[id] };
    let vocab: serde_json::Map<String, Value> =
        tokens.iter().map(|(_, token)| (token.clone(), json!(ids[token.as_str()]))).collect();
    let prefix = metadata.optional_flag(PREFIX)?.unwrap_or(true);
    let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
    let mut normalizers = vec![replace];
    let mut decoders = vec![
        json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
        json!({ "type": "ByteFallback" }),
        json!({ "type": "Fuse" }),
    ];
    if prefix {
        normalizers.insert(0, json!({ "type": "Prepend", "prepend": SPACE }));
        decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
    }
    let unknown = vocabulary.used().find(|(id, _)| vocabulary.types[*id] == UNKNOWN).map(|(_, token)| token);
    Ok(Parts {
        normalizer: json!({ "type": "Sequence", "normalizers": normalizers }),
        pre_tokenizer: Value::Null,
        decoder: json!({ "type": "Sequence", "decoders": decoders }),
        model: json!({
            "type": "BPE", "dropout": null, "unk_token": unknown, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocab, "merges": merges(&ids, score),
        }),
        starts: true,
    })
}

/// The merges that a vocabulary implies: each way to make a token of two others, the best scores first, as transformers
/// derives them.
fn merges(ids: &HashMap<&str, usize>, score: impl Fn(usize) -> f64) -> Vec<[String; 2]> {
    let mut found = Vec::new();
    for (token, &id) in ids {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(&first), Some(&second)) = (ids.get(left), ids.get(right)) {
                found.push((id, left, right, first, second));
            }
        }
    }
    let length = |part: &str| part.chars().count();
    // Best score, then longest parts; of what is equal then, tokens in their order.
    found.sort_by(|a, b| {
        let lengths = |it: &(usize, &str, &str, usize, usize)| (length(it.1), length(it.2));
        score(b.0)
            .total_cmp(&score(a.0))
            .then_with(|| lengths(b).cmp(&lengths(a)))
            .then_with(|| (a.0, a.3, a.4).cmp(&(b.0, b.3, b.4)))
    });
    found.into_iter().map(|(_, left, right, ..)| [left.to_owned(), right.to_owned()]).collect()
}
