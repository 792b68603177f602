//! What a model directory has to hold.

use align_data::Tokenizer;

use super::{EOS, fixture, with_config};

#[test]
fn a_model_directory_without_tokenizer_json_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = Tokenizer::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json: no such file"), "{error}");
}

#[test]
fn a_special_token_outside_the_vocabulary_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(fixture().join("tokenizer.json"), dir.path().join("tokenizer.json")).unwrap();
    std::fs::write(dir.path().join("tokenizer_config.json"), r#"{"eos_token":"<end>"}"#).unwrap();
    let error = Tokenizer::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("`eos_token` is `<end>`, which is not in the vocabulary"), "{error}");
}

#[test]
fn the_hash_follows_the_content() {
    let (_dir, one) = with_config(r#"{"eos_token":"</s>"}"#);
    let (_other, same) = with_config(r#"{"eos_token":"</s>"}"#);
    let (_third, different) = with_config(r#"{"eos_token":"<pad>"}"#);
    assert_eq!(one.content_hash(), same.content_hash());
    assert_ne!(one.content_hash(), different.content_hash());
    assert_eq!(one.content_hash().len(), 64);
    assert_eq!((one.vocab_size(), one.eos().unwrap().id), (330, EOS));
}
