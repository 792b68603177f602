//! A tokenizer that has tokens its model has no rows for.

use serde_json::{Value, json};

use crate::support::{Place, check, training};

/// A model whose tokenizer has two tokens more than the model.
fn place() -> Place {
    let place = Place::new();
    let name = "model/tokenizer.json";
    let mut tokenizer: Value = serde_json::from_slice(&std::fs::read(place.path(name)).unwrap()).unwrap();
    for (id, content) in [(1024, "<|tool|>"), (1025, "<|end of tool|>")] {
        tokenizer["added_tokens"].as_array_mut().unwrap().push(json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }));
    }
    place.write(name, tokenizer.to_string());
    place
}

#[test]
fn they_are_refused_or_get_rows() {
    let place = place();
    check(
        &place,
        &training("refused", ""),
        &["`vocab_size` is 1024", "ids up to 1025", "--resize-token-embeddings"],
    );
    let run = place.train("out", "--resize-token-embeddings --max-steps 2");
    let config = run.json("config.json");
    assert_eq!(config["vocab_size"], 1026);
    let width = config["hidden_size"].as_u64().unwrap() as usize;
    assert_eq!(run.weights()["model.embed_tokens.weight"].len(), 1026 * width);
    // What was saved has rows for them.
    place.succeeds("--model out --dataset data.jsonl --output-dir again --max-steps 1");
    check(
        &place,
        "--model out --dataset data.jsonl --output-dir more --resize-token-embeddings",
        &["out: has rows for 1026 tokens", "nothing is to be resized"],
    );
}
