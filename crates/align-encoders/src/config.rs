//! `config.json` of a DeBERTa classifier, made complete for candle-transformers, and refused where that computes something else.

use std::path::{Path, PathBuf};

use candle_transformers::models::debertav2::Config;
use serde_json::{Map, Value, json};

use crate::{Error, Result};

const CONFIG: &str = "config.json";
/// Bytes of the largest `config.json`.
const LARGEST: u64 = 16 << 20;
const ARCHITECTURE: &str = "DebertaV2ForSequenceClassification";

/// The largest of each size, far above any model's: products of them stay numbers.
const LARGEST_SIZE: u64 = 1 << 24;
const SIZES: [&str; 6] = [
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
];

/// Whether a model directory holds a classifier with an encoder, which [`crate::Encoder`] opens. A directory that cannot
/// be read holds none.
pub fn is_encoder(dir: impl AsRef<Path>) -> bool {
    let json = align_files::read(dir.as_ref().join(CONFIG), LARGEST).ok();
    let json: Option<Value> = json.and_then(|json| serde_json::from_slice(&json).ok());
    json.is_some_and(|json| is_named(&json))
}

fn is_named(json: &Value) -> bool {
    let architectures = json["architectures"].as_array().into_iter().flatten();
    architectures.filter_map(Value::as_str).any(|name| name == ARCHITECTURE)
}

/// Letters of a complaint that are shown.
const SHOWN: usize = 400;

/// Reads and checks the config of a model directory.
///
/// # Errors
/// A file that cannot be read; another architecture; more than one label; a switch that candle-transformers gets wrong.
pub(crate) fn read(dir: &Path) -> Result<Config> {
    let path = dir.join(CONFIG);
    let bytes = align_files::read(&path, LARGEST)?;
    // What is found is as long as the file makes it.
    let wrong = |problem: String| Error::invalid(&path, align_text::shortened(&problem, SHOWN));
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("is no JSON: {error}")))?;
    if !is_named(&json) {
        return Err(wrong(format!(
            "expected the architecture {ARCHITECTURE}, found {}",
            json["architectures"]
        )));
    }
    let Value::Object(mut fields) = json else { unreachable!("only an object has architectures") };
    // A null is a field that is missing.
    fields.retain(|_, value| !value.is_null());
    if fields.get("num_labels").and_then(Value::as_u64) == Some(1) {
        fields.entry("id2label").or_insert_with(|| json!({ "0": "LABEL_0" }));
    }
    for (name, default) in defaults() {
        fields.entry(name).or_insert(default);
    }
    if let Some(hidden) = fields.get("hidden_size").cloned() {
        fields.entry("pooler_hidden_size").or_insert(hidden);
    }
    check(&fields).map_err(wrong)?;
    spell(&mut fields);
    let config: Config = serde_json::from_value(Value::Object(fields))
        .map_err(|error| wrong(format!("is not understood: {error}")))?;
    Ok(config)
}

/// Path of the config of a directory, for messages.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join(CONFIG)
}

/// What transformers takes where a field is missing, and candle-transformers does not. Without names there are two labels.
fn defaults() -> Map<String, Value> {
    let fields = json!({
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-7,
        "relative_attention": false,
        "max_relative_positions": -1,
        "position_biased_input": true,
        "pos_att_type": [],
        "pooler_dropout": 0.0,
        "pooler_hidden_act": "gelu",
        "id2label": { "0": "LABEL_0", "1": "LABEL_1" },
    });
    fields.as_object().cloned().unwrap_or_default()
}

/// Refuses sizes that are none, several labels, and switches that candle-transformers gets wrong.
fn check(fields: &Map<String, Value>) -> std::result::Result<(), String> {
    for (name, found) in SIZES.iter().map(|name| (name, fields.get(*name).unwrap_or(&Value::Null))) {
        if !found.as_u64().is_some_and(|size| (1..=LARGEST_SIZE).contains(&size)) {
            return Err(format!("`{name}`: expected a number from 1 to {LARGEST_SIZE}, found {found}"));
        }
    }
    for name in ["max_relative_positions", "position_buckets"] {
        let found = fields.get(name).unwrap_or(&Value::Null);
        let is_size = found.as_i64().is_some_and(|size| size <= LARGEST_SIZE as i64 && size >= -1);
        if !found.is_null() && !is_size {
            return Err(format!("`{name}`: expected a number from -1 to {LARGEST_SIZE}, found {found}"));
        }
    }
    let labels = fields["id2label"].as_object().map_or(0, Map::len);
    if labels != 1 {
        return Err(format!("`id2label`: expected one label, whose output is the score, found {labels}"));
    }
    let size = |name: &str| fields.get(name).and_then(Value::as_u64).unwrap_or(0);
    let is_unlike = |name: &str, expected: u64| fields.contains_key(name) && size(name) != expected;
    let (hidden, heads) = (size("hidden_size"), size("num_attention_heads"));
    let problem = if size("conv_kernel_size") > 0 {
        "`conv_kernel_size`: candle-transformers has no convolution over the first layer, as DeBERTa v2 xlarge and xxlarge \
         have one"
    } else if is_unlike("embedding_size", hidden) && size("type_vocab_size") > 0 {
        "`embedding_size` beside `type_vocab_size`: candle-transformers takes the embeddings of token types to be as wide as \
         hidden states"
    } else if is_unlike("pooler_hidden_size", hidden) {
        "`pooler_hidden_size`: expected `hidden_size`"
    } else if hidden % heads != 0 || is_unlike("attention_head_size", hidden / heads) {
        "`attention_head_size`: expected `hidden_size` divided by `num_attention_heads`"
    } else {
        return Ok(());
    };
    Err(problem.to_owned())
}

/// Values as candle-transformers spells them: it compares some of them letter by letter that transformers takes in any
/// spelling.
fn spell(fields: &mut Map<String, Value>) {
    let parts =
        |text: &str| text.to_lowercase().split('|').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    if let Some(Value::String(text)) = fields.get("pos_att_type") {
        let parts = parts(text);
        fields.insert("pos_att_type".to_owned(), json!(parts));
    }
    if let Some(Value::String(text)) = fields.get("norm_rel_ebd") {
        let has_norm = parts(text).iter().any(|part| part == "layer_norm");
        fields.insert("norm_rel_ebd".to_owned(), json!(if has_norm { "layer_norm" } else { "none" }));
    }
    // The tanh form of GELU.
    for name in ["hidden_act", "pooler_hidden_act"] {
        if fields
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|act| ["gelu_new", "gelu_pytorch_tanh"].contains(&act))
        {
            fields.insert(name.to_owned(), json!("geluapproximate"));
        }
    }
}
