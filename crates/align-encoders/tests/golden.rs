//! Scores of transformers, replayed on every checkpoint of `fixtures/golden/encoders`, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use align_data::Tokenizer;
use align_encoders::{Encoder, is_encoder};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::debertav2::{Config, DebertaV2SeqClassificationModel};
use serde::Deserialize;
use serde_json::{Value, json};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
const NAMES: [&str; 6] = ["absolute", "both", "c2p", "p2c", "shared", "v3"];
/// f32 of two implementations; what is found is below 1e-6.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Expected {
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    question: String,
    answer: String,
    ids: Vec<u32>,
    types: Vec<u32>,
    score: f64,
}

fn dir(name: &str) -> PathBuf {
    Path::new(FIXTURES).join("encoders").join(name)
}

fn expected(name: &str) -> Expected {
    serde_json::from_str(&fs::read_to_string(dir(name).join("expected.json")).unwrap()).unwrap()
}

#[test]
fn scores_are_those_of_transformers() {
    let mut names: Vec<_> = fs::read_dir(dir("")).unwrap().map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, NAMES);
    let mut worst = 0.0_f64;
    for name in NAMES {
        assert!(is_encoder(dir(name)));
        let encoder =
            Encoder::open(dir(name), &Device::Cpu).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Expected { rows } = expected(name);
        let pairs: Vec<_> = rows.iter().map(|row| (row.question.clone(), row.answer.clone())).collect();
        for (row, score) in rows.iter().zip(encoder.scores(&pairs).unwrap()) {
            let apart = (f64::from(score) - row.score).abs();
            assert!(apart < TOLERANCE, "{name}: {:?}: expected {}, found {score}", row.question, row.score);
            worst = worst.max(apart);
        }
    }
    // Seen with `--nocapture`.
    println!("largest difference of a score: {worst:.1e}");
}

#[test]
fn a_question_and_its_answer_are_paired_and_cut_as_transformers_does() {
    let tokenizer = Tokenizer::load(dir("v3")).unwrap();
    let pairs = tokenizer.pairs(48).unwrap();
    let Expected { rows } = expected("v3");
    let cut: Vec<bool> = rows
        .iter()
        .map(|row| {
            let found = pairs.encode(&row.question, &row.answer).unwrap();
            assert_eq!((&found.ids, &found.types), (&row.ids, &row.types), "{:?}", row.question);
            found.is_cut
        })
        .collect();
    assert_eq!(cut, rows.iter().map(|row| row.ids.len() == 48).collect::<Vec<_>>());
    assert!(cut.iter().any(|cut| *cut));
}

/// How candle-transformers scores these rows in one batch, padded at their ends; none if it cannot.
fn batched(name: &str, rows: &[&Row]) -> Option<Vec<f32>> {
    let mut json: Value = serde_json::from_slice(&fs::read(dir(name).join("config.json")).unwrap()).unwrap();
    if json["pos_att_type"].is_null() {
        json["pos_att_type"] = json!([]);
    }
    let config: Config = serde_json::from_value(json).unwrap();
    let tensors = candle_core::safetensors::load(dir(name).join("model.safetensors"), &Device::Cpu).unwrap();
    let builder = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let model = DebertaV2SeqClassificationModel::load(builder.pp("deberta"), &config, None).unwrap();
    let longest = rows.iter().map(|row| row.ids.len()).max().unwrap();
    let column = |values: &dyn Fn(&Row) -> Vec<u32>| {
        let padded = rows.iter().flat_map(|row| {
            let mut values = values(row);
            values.resize(longest, 0);
            values
        });
        Tensor::from_vec(padded.collect::<Vec<_>>(), (rows.len(), longest), &Device::Cpu).unwrap()
    };
    let (ids, types) = (column(&|row| row.ids.clone()), column(&|row| row.types.clone()));
    let mask = column(&|row| vec![1; row.ids.len()]);
    model.forward(&ids, Some(types), Some(mask)).ok()?.flatten_all().unwrap().to_vec1().ok()
}

/// What is worked around, each as long as it is so: a version of candle-transformers that mends one fails here.
#[test]
fn candle_transformers_has_these_faults() {
    // A batch is right, padded or not, unless places are added to the embeddings: those are never broadcast.
    for name in NAMES {
        let Expected { rows } = expected(name);
        let has_places = !["c2p", "v3"].contains(&name);
        for rows in [vec![&rows[0], &rows[0], &rows[0]], rows.iter().collect()] {
            let found = batched(name, &rows);
            assert_eq!(found.is_none(), has_places, "{name}");
            for (score, row) in found.iter().flatten().zip(&rows) {
                assert!((f64::from(*score) - row.score).abs() < TOLERANCE, "{name}: {score}");
            }
        }
    }
    let mut json: Value = serde_json::from_slice(&fs::read(dir("v3/config.json")).unwrap()).unwrap();
    json.as_object_mut().unwrap().remove("pooler_dropout");
    json.as_object_mut().unwrap().remove("relative_attention");
    assert!(serde_json::from_value::<Config>(json).is_err(), "a field that has a default");
}

/// A copy of a checkpoint with one field of its config changed, and what is said of it; none if it opens.
fn with(name: &str, field: &str, value: Value) -> Option<String> {
    let place = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        fs::copy(dir(name).join(file), place.path().join(file)).unwrap();
    }
    let path = place.path().join("config.json");
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json[field] = value;
    fs::write(&path, json.to_string()).unwrap();
    let error = Encoder::open(place.path(), &Device::Cpu).err().map(|error| error.to_string());
    error.map(|error| error.replace(&place.path().display().to_string(), "."))
}

#[test]
fn a_switch_that_would_be_computed_wrong_is_refused_by_name() {
    for (name, field, value, expected) in [
        ("v3", "conv_kernel_size", json!(3), "`conv_kernel_size`: candle-transformers has no convolution"),
        ("absolute", "embedding_size", json!(4), "`embedding_size` beside `type_vocab_size`"),
        ("v3", "pooler_hidden_size", json!(4), "`pooler_hidden_size`"),
        ("v3", "attention_head_size", json!(2), "`attention_head_size`"),
        ("v3", "num_attention_heads", json!(3), "`attention_head_size`"),
        (
            "v3",
            "id2label",
            json!({ "0": "no", "1": "yes" }),
            "`id2label`: expected one label, whose output is the score, found 2",
        ),
        ("v3", "id2label", Value::Null, "`id2label`: expected one label, whose output is the score, found 2"),
        ("v3", "hidden_act", json!("swish"), "is not understood"),
        ("v3", "hidden_size", json!(1_u64 << 60), "`hidden_size`: expected a number from 1 to"),
        ("v3", "position_buckets", json!(1_i64 << 62), "`position_buckets`: expected a number from -1 to"),
        ("v3", "num_hidden_layers", json!(0), "`num_hidden_layers`"),
        ("v3", "num_hidden_layers", json!(1), "tensor `deberta.encoder.layer.1.attention"),
        ("v3", "num_hidden_layers", json!(3), "tensor `deberta.encoder.layer.2.attention"),
        ("v3", "norm_rel_ebd", json!("none"), "tensor `deberta.encoder.LayerNorm.bias` has no part"),
        ("v3", "share_att_key", json!(false), "pos_key_proj.weight` is missing"),
        ("v3", "vocab_size", json!(70), "`vocab_size` is 70, and the tokenizer has ids up to"),
        ("v3", "architectures", json!(["DebertaV2ForMaskedLM"]), "expected the architecture"),
        ("v3", "architectures", json!(["x".repeat(10_000)]), "expected the architecture"),
    ] {
        let error =
            with(name, field, value.clone()).unwrap_or_else(|| panic!("{field} = {value} is accepted"));
        assert!(error.contains(expected) && error.len() < 1000, "{field} = {value}: {error}");
    }
    // As transformers takes it.
    for (field, value) in [
        ("pos_att_type", json!(" C2P |p2c")),
        ("norm_rel_ebd", json!("Layer_Norm | none")),
        ("pooler_hidden_act", json!("gelu_new")),
        ("pooler_dropout", Value::Null),
        ("pooler_hidden_size", Value::Null),
        ("num_labels", json!(1)),
    ] {
        assert_eq!(with("v3", field, value), None, "{field}");
    }
    assert!(!is_encoder(Path::new(FIXTURES).join("models/llama-seqcls")) && !is_encoder("nowhere"));
}

#[test]
fn files_that_are_missing_or_damaged_are_named() {
    let place = tempfile::tempdir().unwrap();
    let open = || Encoder::open(place.path(), &Device::Cpu).err().unwrap().to_string();
    assert!(open().contains("config.json"));
    fs::copy(dir("v3/config.json"), place.path().join("config.json")).unwrap();
    assert!(open().contains("tokenizer.json: no such file"), "{}", open());
    fs::copy(dir("v3/tokenizer.json"), place.path().join("tokenizer.json")).unwrap();
    assert!(open().contains("model.safetensors: no such file"), "{}", open());
    fs::write(place.path().join("pytorch_model.bin"), "").unwrap();
    assert!(open().contains("there is a pytorch_model.bin instead"), "{}", open());
    let bytes = fs::read(dir("v3/model.safetensors")).unwrap();
    fs::write(place.path().join("model.safetensors"), &bytes[..bytes.len() - 9]).unwrap();
    assert!(open().contains("is damaged"), "{}", open());
}
