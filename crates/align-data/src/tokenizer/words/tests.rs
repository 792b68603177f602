//! Ids and places are the library's, on the rules that models have.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/models/tiny-chat/tokenizer.json");
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const CL100K: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+";

/// The fixture's vocabulary under other rules.
fn tokenizer(normalizer: Value, pre_tokenizer: Value, change: impl FnOnce(&mut Value)) -> Tokenizer {
    let mut file: Value = serde_json::from_slice(&std::fs::read(FIXTURE).unwrap()).unwrap();
    file["normalizer"] = normalizer;
    file["pre_tokenizer"] = pre_tokenizer;
    file["post_processor"] = Value::Null;
    change(&mut file);
    Tokenizer::from_bytes(file.to_string()).unwrap()
}

fn bytes(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}

fn split(pattern: &str) -> Value {
    json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false })
}

fn sequence(parts: &[Value]) -> Value {
    json!({ "type": "Sequence", "pretokenizers": parts })
}

/// The rules of families, by name.
fn families() -> Vec<(&'static str, Tokenizer)> {
    let digits = |individual: bool| json!({ "type": "Digits", "individual_digits": individual });
    let of_patterns = |patterns: &[&str]| {
        let splits = patterns.iter().map(|pattern| split(pattern));
        sequence(&splits.chain([bytes(false)]).collect::<Vec<_>>())
    };
    let with = |normalizer, pre_tokenizer| tokenizer(normalizer, pre_tokenizer, |_| ());
    let normalized = |file: &mut Value| {
        for token in file["added_tokens"].as_array_mut().unwrap() {
            token["normalized"] = json!(true);
        }
    };
    vec![
        ("gpt2", with(Value::Null, bytes(true))),
        ("smollm", with(Value::Null, sequence(&[digits(true), bytes(true)]))),
        ("runs of digits", with(Value::Null, sequence(&[digits(false), bytes(true)]))),
        ("llama3", with(Value::Null, of_patterns(&[LLAMA_3]))),
        ("qwen2", with(json!({ "type": "NFC" }), of_patterns(&[QWEN_2]))),
        ("gpt4o", with(Value::Null, of_patterns(&[GPT_4O]))),
        ("deepseek", with(Value::Null, of_patterns(&[r"\p{N}{1,3}", r"[一-龥぀-ゟ゠-ヿ]+", QWEN_2]))),
        ("normalized tokens", tokenizer(Value::Null, bytes(true), normalized)),
    ]
}

/// The same with their words, which all have.
static FAMILIES: LazyLock<Vec<(&str, Tokenizer, Words)>> = LazyLock::new(|| {
    let words = |(name, tokenizer)| {
        let words = Words::of(&tokenizer).unwrap_or_else(|| panic!("{name} has no words"));
        (name, tokenizer, words)
    };
    families().into_iter().map(words).collect()
});

#[test]
fn what_is_cut_otherwise_is_left_to_the_library() {
    let prefix_space = json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true });
    let lowercase = json!({ "type": "Lowercase" });
    let removed =
        json!({ "type": "Split", "pattern": { "Regex": " " }, "behavior": "Removed", "invert": false });
    for (name, normalizer, pre_tokenizer) in [
        ("a space in front", Value::Null, prefix_space),
        ("possessive", Value::Null, sequence(&[split(CL100K), bytes(false)])),
        ("lower case", lowercase, bytes(true)),
        ("removed", Value::Null, sequence(&[removed, bytes(false)])),
        ("looks behind", Value::Null, sequence(&[split(r"(?<=a)b|\s+"), bytes(false)])),
        ("none", Value::Null, Value::Null),
    ] {
        assert!(Words::of(&tokenizer(normalizer, pre_tokenizer, |_| ())).is_none(), "{name}");
    }
    // A byte that the vocabulary lacks, and tokens that take the space before them.
    let lacks = |file: &mut Value| {
        file["model"]["vocab"].as_object_mut().unwrap().remove("Ã");
        file["model"]["merges"] = json!([]);
    };
    let strips = |file: &mut Value| file["added_tokens"][2]["lstrip"] = json!(true);
    let lacking = tokenizer(Value::Null, bytes(true), lacks);
    let words = Words::of(&lacking).unwrap();
    assert!(words.encode(lacking.get_model(), "für").is_none());
    let stripping = tokenizer(Value::Null, bytes(true), strips);
    let words = Words::of(&stripping).unwrap();
    assert!(words.encode(stripping.get_model(), "a </s>").is_none());
    assert!(words.encode(stripping.get_model(), "a b").is_some());
}

/// Texts of what rules look at: letters, digits, marks, quotes, white space of several kinds, turn markers.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-zA-Z]{1,8}",
        "[ \t\r\n\u{a0}\u{3000}]{1,4}",
        "[0-9٣²]{1,5}",
        "'(s|S|t|re|VE|m|ll|d|x)",
        "[.,!?/(){}<>|…_-]{1,3}",
        "[äßéЖ語かカ말اà🎉\u{301}\u{200d}]{1,4}",
        Just("</s>".to_owned()),
        Just("<|user|>".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn ids_and_places_are_those_of_the_library(texts in prop::collection::vec(text(), 4)) {
        for (name, tokenizer, words) in &*FAMILIES {
            for text in &texts {
                let Some(own) = words.encode_placed(tokenizer.get_model(), text) else {
                    prop_assert!(*name == "qwen2" && !text.is_ascii(), "{} leaves {:?}", name, text);
                    continue;
                };
                let theirs = tokenizer.encode(text.as_str(), false).unwrap();
                prop_assert_eq!(theirs.get_ids(), own.ids.as_slice(), "{} {:?}", name, text);
                prop_assert_eq!(theirs.get_offsets(), own.places.as_slice(), "{} {:?}", name, text);
                prop_assert_eq!(words.encode(tokenizer.get_model(), text), Some(own.ids));
            }
        }
    }
}
