//! Tokenizers out of GGUF files: token ids as llama.cpp has them, and the way there and back.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::{Path, PathBuf};

use align_data::Tokenizer;
use align_gguf::{GgufFile, GgufWriter, tokenizer_fields};
use serde_json::Value;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");

fn golden(name: &str) -> PathBuf {
    Path::new(FIXTURES).join("golden/gguf").join(name)
}

/// A file of a tokenizer alone.
fn written(of: &Tokenizer, files: &Path, to: &Path) {
    let fields = tokenizer_fields(|name| std::fs::read(files.join(name)).ok(), of.vocab_size()).unwrap();
    GgufWriter::create(to, &fields, &[]).unwrap().finish().unwrap();
}

#[test]
fn sentencepiece_cuts_texts_as_llama_cpp_does() {
    let expected: Value =
        serde_json::from_slice(&std::fs::read(golden("sentencepiece.json")).unwrap()).unwrap();
    let tokenizer = Tokenizer::load(golden("sentencepiece.gguf")).unwrap();
    for case in expected["tokenized"].as_array().unwrap() {
        let (text, ids) = (case["text"].as_str().unwrap(), case["ids"].as_array().unwrap());
        let ids: Vec<u32> = ids.iter().map(|id| id.as_u64().unwrap() as u32).collect();
        assert_eq!(tokenizer.encode_with_special_tokens(text).unwrap(), ids, "{text:?}");
        if !text.contains('<') {
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text, "{text:?}");
        }
    }
    assert_eq!(tokenizer.eos().unwrap().id, 2);
    assert_eq!(tokenizer.prefix(), [1]);
    assert!(tokenizer.is_special(1) && !tokenizer.is_special(331) && !tokenizer.is_special(300));
}

#[test]
fn a_byte_level_tokenizer_is_the_same_through_a_file() {
    let files = Path::new(FIXTURES).join("models/tiny-chat");
    let tokenizer = Tokenizer::load(&files).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.gguf");
    written(&tokenizer, &files, &path);
    let again = Tokenizer::load(&path).unwrap();
    for text in ["How do I bake bread?", "  two  spaces\n", "<s><|user|>naïve 語 🎉</s>", "", "don't 1234"]
    {
        assert_eq!(again.encode(text).unwrap(), tokenizer.encode(text).unwrap(), "{text:?}");
        let (ours, theirs) =
            (again.encode_with_special_tokens(text), tokenizer.encode_with_special_tokens(text));
        assert_eq!(ours.unwrap(), theirs.unwrap(), "{text:?}");
    }
    let turns = [align_data::Message::new("user", "Hi"), align_data::Message::new("assistant", "Hello")];
    let text =
        |of: &Tokenizer| of.chat_template().unwrap().render(&turns, true, &Default::default()).unwrap();
    assert_eq!(text(&again), text(&tokenizer));
    for of in [Tokenizer::eos, Tokenizer::bos, Tokenizer::pad] {
        assert_eq!(of(&again), of(&tokenizer));
    }
}

#[test]
fn a_sentencepiece_tokenizer_is_the_same_through_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let source = GgufFile::open(&golden("sentencepiece.gguf")).unwrap();
    for (name, bytes) in align_gguf::tokenizer_files(source.metadata()).unwrap() {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    let path = dir.path().join("tokenizer.gguf");
    written(&tokenizer, dir.path(), &path);
    let again = Tokenizer::load(&path).unwrap();
    for text in ["Hello world", " the cat  sat", "naïve 語", "</s>the<|turn|>cat", "a\nb"] {
        let (ours, theirs) =
            (again.encode_with_special_tokens(text), tokenizer.encode_with_special_tokens(text));
        assert_eq!(ours.unwrap(), theirs.unwrap(), "{text:?}");
    }
}
