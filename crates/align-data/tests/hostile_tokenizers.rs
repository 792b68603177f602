//! Tokenizers on which the library panics, or with which it would never end: each is an error that names the file, when
//! the tokenizer is loaded.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use align_data::Tokenizer;
use serde_json::{Value, json};

const GOOD: &str = include_str!("fixtures/tokenizer/tokenizer.json");

/// What loading says of the good tokenizer with a part exchanged.
fn load(pointer: &str, part: Value) -> Result<Tokenizer, String> {
    let mut file: Value = serde_json::from_str(GOOD).unwrap();
    *file.pointer_mut(pointer).unwrap() = part;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), file.to_string()).unwrap();
    Tokenizer::load(dir.path()).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(pointer: &str, part: Value, words: &str) {
    let start = Instant::now();
    let shown: String = part.to_string().chars().take(80).collect();
    let error = load(pointer, part).expect_err(&shown);
    assert!(error.contains("tokenizer.json: ") && error.contains(words), "{shown}: {error}");
    assert!(error.len() < 1000, "{shown}: an error of {} bytes", error.len());
    assert!(start.elapsed() < Duration::from_secs(20), "{shown}: took {:?}", start.elapsed());
}

#[test]
fn what_the_library_panics_on_is_an_error_that_names_the_file() {
    for map in ["", "AAAA", "//8AAA==", "AQAAAAAAAAA="] {
        refused("/normalizer", json!({"type": "Precompiled", "precompiled_charsmap": map}), "");
    }
    let empty = json!({"type": "Replace", "pattern": {"String": ""}, "content": "x"});
    refused("/normalizer", empty, "the tokenizers library fails on it");
    let lengths = json!({"type": "FixedLength", "length": 0});
    refused("/pre_tokenizer", lengths, "the tokenizers library fails on it");
    let second = json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {}});
    refused("/post_processor", second, "");
    let strip = |stop: Value| json!({"type": "Strip", "content": "a", "start": 0, "stop": stop});
    refused("/decoder", strip(json!(100)), "the tokenizers library fails on it");
    refused("/decoder", strip(json!(-1)), "");
    refused("/decoder", strip(json!(u64::MAX)), "");
    refused("/model/continuing_subword_prefix", json!("#".repeat(99)), "");
}

#[test]
fn token_ids_that_chance_decides_are_refused() {
    refused("/model/dropout", json!(0.1), "`model.dropout` = 0.1 makes token ids random; set it to null");
    assert!(load("/model/dropout", json!(0.0)).is_ok());
}

#[test]
fn what_would_fill_the_memory_or_never_end_is_refused() {
    let twice = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    let sixty = json!({"type": "Sequence", "normalizers": vec![twice.clone(); 60]});
    refused("/normalizer", sixty, "`normalizer` makes texts more than 256 times longer");
    refused("/decoder", json!({"type": "Sequence", "decoders": vec![twice; 60]}), "`decoder` makes texts");
    let copies = json!({"type": "TemplateProcessing", "single": vec![json!({"Sequence": {"id": "A", "type_id": 0}}); 300],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {}});
    refused("/post_processor", copies, "`post_processor` makes texts");
    let mut vocabulary = serde_json::from_str::<Value>(GOOD).unwrap()["model"]["vocab"].clone();
    vocabulary["far away"] = json!(u32::MAX);
    refused("/model/vocab", vocabulary, "has a token with the id 4294967295, expected at most 16777216");
    // However long a regular expression searches, loading ends.
    let start = Instant::now();
    for pattern in ["(a+)+$(?!b)", "(?=(a+))*\\1b", "( *)*\\1z", "(((((((((a+)+)+)+)+)+)+)+)+)+(?!x)b"] {
        let split =
            json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        if let Err(error) = load("/pre_tokenizer", split) {
            assert!(error.contains("tokenizer.json: "), "{error}");
        }
    }
    let nested = json!({"type": "Split", "pattern": {"Regex": "(".repeat(100_000)}, "behavior": "Isolated", "invert": false});
    refused("/pre_tokenizer", nested, "");
    assert!(start.elapsed() < Duration::from_secs(100), "took {:?}", start.elapsed());
}

#[test]
fn files_that_are_no_files_or_too_large_are_not_read() {
    let with = |make: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        make(&dir.path().join("tokenizer.json"));
        Tokenizer::load(dir.path()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(with(&|_| ()).contains("tokenizer.json: no such file; a model directory needs"));
    assert!(with(&|path| std::fs::create_dir(path).unwrap()).contains("tokenizer.json: is a directory"));
    let large = with(&|path| std::fs::File::create(path).unwrap().set_len(200 << 20).unwrap());
    assert!(large.contains("tokenizer.json: has 209715200 bytes or more"), "{large}");
    #[cfg(unix)]
    {
        let endless = with(&|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap());
        assert!(endless.contains("tokenizer.json: is a device"), "{endless}");
        let beside = with(&|path| {
            std::fs::write(path, GOOD).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path.with_file_name("tokenizer_config.json")).unwrap();
        });
        assert!(beside.contains("tokenizer_config.json: is a device"), "{beside}");
        let template = with(&|path| {
            std::fs::write(path, GOOD).unwrap();
            std::os::unix::fs::symlink("/dev/zero", path.with_file_name("chat_template.jinja")).unwrap();
        });
        assert!(template.contains("chat_template.jinja: is a device"), "{template}");
    }
}
