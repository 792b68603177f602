//! `tokenizer.json`, `tokenizer_config.json` and `special_tokens_map.json`.

use serde_json::{Value, json};

use super::row;
use crate::make::nested;
use crate::row::Row;

const TOKENIZER: &str = "model/tokenizer.json";

pub(super) fn rows() -> Vec<Row> {
    [parts(), models(), texts(), config()].into_iter().flatten().collect()
}

fn part(name: &str, pointer: &'static str, value: Value) -> Row {
    row(&format!("tokenizer.json: {name}"), "generate")
        .set(TOKENIZER, pointer, value)
        .refused(&["tokenizer.json"])
}

/// Normalizers, pre-tokenizers, post-processors and decoders.
fn parts() -> Vec<Row> {
    let charsmap = |map: &str| json!({ "type": "Precompiled", "precompiled_charsmap": map });
    let template = |single: Value| json!({ "type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": {} });
    let sequence = |id: &str| json!({ "Sequence": { "id": id, "type_id": 0 } });
    let byte_level =
        json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true });
    vec![
        part("an empty character map", "/normalizer", charsmap("")),
        part("a short character map", "/normalizer", charsmap("AAAA")),
        part("a character map of random bytes", "/normalizer", charsmap("3q2+78r+ur4BI0VniavN7/7cuph2VDIQ")),
        part("a character map that says it is long", "/normalizer", charsmap("/////wAAAAA=")),
        part("a character map that is no base64", "/normalizer", charsmap("\u{1b}!")),
        part("nothing is replaced", "/normalizer", json!({ "type": "Replace", "pattern": { "String": "" }, "content": "x" })),
        part("an expression that matches nothing is replaced", "/normalizer",
            json!({ "type": "Replace", "pattern": { "Regex": "" }, "content": "xxxxxxxx" })).ends(&[0, 2], &[]),
        part("an expression that is none", "/normalizer",
            json!({ "type": "Replace", "pattern": { "Regex": "(" }, "content": "x" })),
        part("an expression that goes back for ever", "/pre_tokenizer",
            json!({ "type": "Split", "pattern": { "Regex": "(a*)*(a*)*(a*)*b" }, "behavior": "Isolated", "invert": false }))
            .word(format!("--prompt={}", "a".repeat(40))).ends(&[0, 2], &[]),
        part("an expression that counts to 10^9", "/pre_tokenizer",
            json!({ "type": "Split", "pattern": { "Regex": "(((a{1000}){1000}){1000}){1000}" }, "behavior": "Isolated", "invert": false })),
        part("a normalizer that there is not", "/normalizer", json!({ "type": "Upside" })),
        part("normalizers 10,000 deep", "/normalizer", deep_sequence("normalizers", 100)).ends(&[0, 2], &[]),
        part("words of fixed length 0", "/pre_tokenizer", json!({ "type": "FixedLength", "length": 0 })),
        part("words of fixed length 2^64 − 1", "/pre_tokenizer", json!({ "type": "FixedLength", "length": u64::MAX }))
            .ends(&[0, 2], &[]),
        part("a pre-tokenizer that there is not", "/pre_tokenizer", json!({ "type": "Upside" })),
        part("a second text where there is one", "/post_processor", template(json!([sequence("A"), sequence("B")]))),
        part("only the second text", "/post_processor", template(json!([sequence("B")]))),
        part("a special token that is not declared", "/post_processor",
            template(json!([{ "SpecialToken": { "id": "[CLS]", "type_id": 0 } }]))).refused(&[]),
        part("no text at all", "/post_processor", template(json!([]))).ends(&[0, 2], &[]),
        part("a special token beyond the vocabulary", "/post_processor", json!({
            "type": "TemplateProcessing", "single": [{ "SpecialToken": { "id": "[CLS]", "type_id": 0 } }, sequence("A")], "pair": [],
            "special_tokens": { "[CLS]": { "id": "[CLS]", "ids": [4_294_967_295_u64], "tokens": ["[CLS]"] } }
        })).ends(&[0, 2], &[]),
        part("more is stripped than there is", "/decoder",
            json!({ "type": "Sequence", "decoders": [byte_level, { "type": "Strip", "content": "x", "start": 0, "stop": 1_000_000 }] }))
            .ends(&[0, 2], &[]),
        part("2^64 − 1 characters are stripped", "/decoder",
            json!({ "type": "Strip", "content": "a", "start": 0, "stop": u64::MAX })).ends(&[0, 2], &[]),
        part("10^12 characters are stripped in front", "/decoder",
            json!({ "type": "Strip", "content": "a", "start": 1_000_000_000_000_u64, "stop": 0 })).ends(&[0, 2], &[]),
        part("a negative number of characters is stripped", "/decoder",
            json!({ "type": "Strip", "content": "a", "start": -1, "stop": 0 })),
        part("a decoder that there is not", "/decoder", json!({ "type": "Upside" })),
        part("a decoder that replaces nothing", "/decoder",
            json!({ "type": "Replace", "pattern": { "String": "" }, "content": "x" })).ends(&[0, 2], &[]),
        part("padding to 2^64 − 1", "/padding", json!({ "strategy": { "Fixed": u64::MAX }, "direction": "Right",
            "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>" })).ends(&[0, 2], &[]),
        part("padding to a multiple of 0", "/padding", json!({ "strategy": "BatchLongest", "direction": "Right",
            "pad_to_multiple_of": 0, "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>" })).ends(&[0, 2], &[]),
        part("truncation to nothing with a stride", "/truncation", json!({ "max_length": 0, "stride": 5,
            "strategy": "LongestFirst", "direction": "Right" })).ends(&[0, 2], &[]),
        part("truncation with a stride above its length", "/truncation", json!({ "max_length": 2, "stride": 5,
            "strategy": "LongestFirst", "direction": "Right" })).ends(&[0, 2], &[]),
        part("an added token without a text", "/added_tokens/0/content", json!("")).ends(&[0, 2], &[]),
        part("an added token twice", "/added_tokens/1/content", json!("<pad>")).ends(&[0, 2], &[]),
        part("an added token of a negative number", "/added_tokens/0/id", json!(-1)),
        part("an added token of number 2^32", "/added_tokens/0/id", json!(4_294_967_296_u64)),
        part("an added token of number 2^32 − 1", "/added_tokens/0/id", json!(4_294_967_295_u64)).ends(&[0, 2], &[]),
        part("an added token with an escape sequence", "/added_tokens/0/content", json!("\u{1b}[31m\u{7}")).ends(&[0, 2], &[]),
    ]
}

fn deep_sequence(field: &str, depth: usize) -> Value {
    (0..depth).fold(json!({ "type": "NFC" }), |inner, _| json!({ "type": "Sequence", field: [inner] }))
}

/// The model inside the tokenizer.
fn models() -> Vec<Row> {
    vec![
        part("no model", "/model", Value::Null),
        part("a model that there is not", "/model/type", json!("Upside")),
        part("no vocabulary", "/model/vocab", Value::Null),
        part("an empty vocabulary", "/model/vocab", json!({})),
        part("a vocabulary that is a list of numbers", "/model/vocab", json!([1, 2, 3])),
        part("a number above 2^32 in the vocabulary", "/model/vocab/a", json!(4_294_967_296_u64)),
        part("the number 2^32 − 1 in the vocabulary", "/model/vocab/a", json!(4_294_967_295_u64))
            .refused(&["tokenizer.json"]),
        part("a negative number in the vocabulary", "/model/vocab/a", json!(-1)),
        part("a fraction in the vocabulary", "/model/vocab/a", json!(1.5)),
        part("the number of another token", "/model/vocab/a", json!(0)).ends(&[0, 2], &[]),
        part(
            "a prefix longer than a token",
            "/model/continuing_subword_prefix",
            json!("a prefix that is longer than a token"),
        ),
        part(
            "a suffix longer than a token",
            "/model/end_of_word_suffix",
            json!("a suffix that is longer than a token"),
        )
        .ends(&[0, 2], &[]),
        part("a merge of tokens that there are not", "/model/merges", json!([["no", "such"]])),
        part("a merge of one token", "/model/merges", json!([["a"]])),
        part("a merge of three tokens", "/model/merges", json!(["a b c"])),
        part("merges that are a number", "/model/merges", json!(5)),
        part("a dropout above 1", "/model/dropout", json!(7.5)),
        part("a dropout of one half", "/model/dropout", json!(0.5)).ends(&[0, 2], &[]),
        part("an unknown token that there is not", "/model/unk_token", json!("<nothing>")).ends(&[0, 2], &[]),
        part(
            "a word-piece model with no limit",
            "/model",
            json!({ "type": "WordPiece", "unk_token": "a", "vocab": { "a": 0 },
            "continuing_subword_prefix": "##", "max_input_chars_per_word": 0 }),
        )
        .ends(&[0, 2], &[]),
        part(
            "a unigram model without pieces",
            "/model",
            json!({ "type": "Unigram", "unk_id": 5, "vocab": [] }),
        ),
        part(
            "a unigram model whose unknown piece is not there",
            "/model",
            json!({ "type": "Unigram", "unk_id": 5, "vocab": [["a", -1.0]] }),
        ),
        part(
            "a unigram model with a probability that is none",
            "/model",
            json!({ "type": "Unigram", "unk_id": 0, "vocab": [["a", 1e308], ["b", -1e308]] }),
        )
        .ends(&[0, 2], &[]),
    ]
}

/// The file as a text.
fn texts() -> Vec<Row> {
    let text = |name: &str, bytes: Vec<u8>| {
        row(&format!("tokenizer.json: {name}"), "generate").put(TOKENIZER, bytes).refused(&["tokenizer.json"])
    };
    vec![
        text("empty", Vec::new()),
        text("null", b"null".to_vec()),
        text("a list", b"[]".to_vec()),
        text("an empty object", b"{}".to_vec()),
        text("not Unicode", b"\xff\xfe{}".to_vec()),
        text("100,000 lists deep", nested("[", "]", 100_000).into_bytes()),
        text("an escape sequence", b"\x1b[31m{}".to_vec()),
        row("tokenizer.json: half", "generate")
            .edit(TOKENIZER, |bytes| bytes[..bytes.len() / 2].to_vec())
            .refused(&["tokenizer.json"]),
        row("tokenizer.json: not there", "generate")
            .with(TOKENIZER, crate::Content::Gone)
            .refused(&["tokenizer.json"]),
        row("tokenizer.json: a directory", "generate")
            .with(TOKENIZER, crate::Content::Gone)
            .with(TOKENIZER, crate::Content::Directory)
            .refused(&["tokenizer.json"]),
        row("tokenizer.json: a pipe", "generate")
            .with(TOKENIZER, crate::Content::Gone)
            .with(TOKENIZER, crate::Content::Fifo)
            .refused(&["tokenizer.json"]),
        row("tokenizer.json: an endless device", "generate")
            .with(TOKENIZER, crate::Content::Gone)
            .with(TOKENIZER, crate::Content::Link("/dev/zero".to_owned()))
            .refused(&["tokenizer.json"]),
    ]
}

/// `tokenizer_config.json` beside it.
fn config() -> Vec<Row> {
    let set = |name: &str, pointer: &'static str, value: Value| {
        row(&format!("tokenizer_config.json: {name}"), "generate")
            .set("model/tokenizer_config.json", pointer, value)
            .refused(&["tokenizer_config.json"])
    };
    let text = |name: &str, text: &str| {
        row(&format!("tokenizer_config.json: {name}"), "generate")
            .put("model/tokenizer_config.json", text)
            .refused(&["tokenizer_config.json"])
    };
    vec![
        set("an end that there is not", "/eos_token", json!("<nothing>")).refused(&["<nothing>"]),
        set("an end that is a number", "/eos_token", json!(2)),
        set("an end with an escape sequence", "/eos_token", json!("\u{1b}[31m\u{7}")).refused(&[]),
        set("an end of 100,000 letters", "/eos_token", json!("e".repeat(100_000))).refused(&[]),
        set("a beginning that is a list", "/bos_token", json!([1])),
        set("a switch that is text", "/add_bos_token", json!("yes")).ends(&[0, 2], &[]),
        text("not JSON", "{"),
        text("a list", "[]"),
        text("empty", ""),
        text("100,000 lists deep", &nested("[", "]", 100_000)),
        row("special_tokens_map.json: not JSON", "generate")
            .put("model/special_tokens_map.json", "{")
            .ends(&[0, 2], &[]),
    ]
}
