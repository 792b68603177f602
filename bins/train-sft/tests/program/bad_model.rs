//! A model directory that is not whole, or whose parts do not fit together, is refused by file and tensor.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::{Place, check, training};

/// A change to the model's directory makes the program refuse it.
fn check_model(change: impl Fn(&Place), fragments: &[&str]) {
    let place = Place::new();
    change(&place);
    check(&place, &training("out", ""), fragments);
}

/// Rewrites the weights: names to dtype, shape and bytes.
fn with_tensors(
    change: impl Fn(&mut BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>),
) -> impl Fn(&Place) {
    move |place| {
        let path = place.path("model/model.safetensors");
        let bytes = fs::read(&path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
        };
        let mut tensors: BTreeMap<_, _> = file.tensors().into_iter().map(tensor).collect();
        change(&mut tensors);
        let views = tensors.iter().map(|(name, (dtype, shape, data))| {
            (name, safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }
}

/// Sets a key of `config.json`.
fn with_config(key: &str, value: Value) -> impl Fn(&Place) {
    move |place| {
        let path = place.path("model/config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        config[key] = value.clone();
        fs::write(path, config.to_string()).unwrap();
    }
}

const NORM: &str = "model.norm.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

#[test]
fn weights_that_do_not_fit_are_named() {
    check_model(with_tensors(|tensors| drop(tensors.remove(NORM))), &["model: ", NORM, "missing"]);
    check_model(
        with_tensors(|tensors| tensors.get_mut(EMBEDDING).unwrap().1 = vec![512, 64]),
        &[EMBEDDING, "expected shape [1024, 32] by config.json, found [512, 64]"],
    );
    check_model(
        with_tensors(|tensors| tensors.get_mut(NORM).unwrap().0 = safetensors::Dtype::I32),
        &[NORM, "expected floating-point weights, found I32"],
    );
    let rename = |tensors: &mut BTreeMap<_, _>| {
        let norm = tensors.remove(NORM).unwrap();
        tensors.insert("model.extra.weight".to_owned(), norm);
    };
    check_model(with_tensors(rename), &["model: ", NORM, "missing"]);
    let add = |tensors: &mut BTreeMap<String, (safetensors::Dtype, Vec<usize>, Vec<u8>)>| {
        let norm = tensors[NORM].clone();
        tensors.insert("model.extra.weight".to_owned(), norm);
    };
    check_model(with_tensors(add), &["does not account for", "model.extra.weight"]);
    let whole = fs::read(Place::new().path("model/model.safetensors")).unwrap();
    for length in [0, 4, 100, whole.len() / 2, whole.len() - 1] {
        let cut = |place: &Place| place.write("model/model.safetensors", &whole[..length]);
        check_model(cut, &["model/model.safetensors: is not a readable safetensors file"]);
    }
    check_model(
        |place| fs::remove_file(place.path("model/model.safetensors")).unwrap(),
        &["model: ", "holds neither model.safetensors nor model.safetensors.index.json"],
    );
}

#[test]
fn a_model_directory_that_does_not_fit_is_named() {
    let remove = |name: &'static str| move |place: &Place| fs::remove_file(place.path(name)).unwrap();
    let spoil = |name: &'static str, text: &'static str| move |place: &Place| place.write(name, text);
    check_model(remove("model/tokenizer.json"), &["model/tokenizer.json: no such file"]);
    check_model(spoil("model/tokenizer.json", "{"), &["model/tokenizer.json: "]);
    check_model(spoil("model/tokenizer_config.json", "{"), &["model/tokenizer_config.json: "]);
    check_model(spoil("model/chat_template.jinja", "{% if %}"), &["model/chat_template.jinja: "]);
    check_model(remove("model/config.json"), &["model `model`", "no config.json"]);
    check_model(spoil("model/config.json", "{"), &["model/config.json: malformed JSON"]);
    check_model(spoil("model/config.json", "[]"), &["model/config.json: ", "`model_type`"]);
    check_model(with_config("model_type", json!("gpt2")), &["config.json", "`gpt2`", "supported: gemma, "]);
    check_model(with_config("vocab_size", json!(100)), &["`vocab_size` is 100", "ids up to 1023"]);
    check_model(with_config("hidden_size", json!("32")), &["`hidden_size`", "\"32\""]);
    check_model(with_config("hidden_size", json!(-5)), &["`hidden_size`", "-5"]);
    check_model(with_config("num_attention_heads", json!(0)), &["`num_attention_heads`", "found 0"]);
    check_model(with_config("num_hidden_layers", json!(u64::MAX)), &["`num_hidden_layers`"]);
    check_model(with_config("rms_norm_eps", json!([])), &["`rms_norm_eps`"]);

    let place = Place::new();
    let words = |model: &str| format!("--model {model} --dataset data.jsonl --output-dir out");
    check(&place, &words("./nothing"), &["model `./nothing`", "no such file or directory"]);
    check(&place, &words("org/nothing"), &["model `org/nothing`", "HF_HUB_OFFLINE"]);
    check(&place, &words("data.jsonl"), &["model `data.jsonl`", "name the directory"]);
}
