//! Settings and files that make no adapter.

use std::path::Path;

use align_models::{LoraConfig, LoraStart, ModelDir, Modules};
use serde_json::Value;

use crate::{CPU, SHIPPED};

#[test]
fn what_does_not_fit_is_said() {
    let dir = || ModelDir::open(&Path::new(SHIPPED).join("models/llama")).unwrap();
    let names = |names: &[&str]| Modules::Names(names.iter().map(|&name| name.to_owned()).collect());
    let problem = |config: LoraConfig| dir().with_new_adapter(&config, "base", None).unwrap_err().to_string();
    let of = |target_modules: Modules| problem(LoraConfig { target_modules, r: 4, ..LoraConfig::default() });
    assert!(of(names(&["q_porj"])).contains("no module `q_porj`; there are q_proj, k_proj, v_proj"));
    assert!(of(names(&["roj"])).contains("no module `roj`"), "a part of a name is none");
    assert!(of(Modules::Pattern("layers".into())).contains("fits `layers`"));
    assert!(of(Modules::Pattern("(".into())).contains("is no regular expression"));
    let default = || LoraConfig { r: 4, ..LoraConfig::default() };
    assert!(problem(LoraConfig { r: 33, ..default() }).contains("expected a rank from 1 to 32"));
    assert!(
        problem(LoraConfig { r: 17, ..default() })
            .contains("`model.layers.0.self_attn.k_proj`, whose weight is [16, 32]")
    );
    assert!(problem(LoraConfig { lora_alpha: 0.0, ..default() }).contains("lora_alpha"));
    assert!(problem(LoraConfig { lora_dropout: 1.0, ..default() }).contains("lora_dropout"));
    assert!(problem(LoraConfig { use_dora: true, lora_bias: true, ..default() }).contains("lora_bias"));
    assert!(problem(LoraConfig { modules_to_save: vec!["scroe".into()], ..default() }).contains("`scroe`"));
    let config = LoraConfig { modules_to_save: vec!["embed_tokens".into()], ..default() };
    let of_tied = |config: LoraConfig| {
        let tied = ModelDir::open(&Path::new(SHIPPED).join("models/llama-tied")).unwrap();
        tied.with_new_adapter(&config, "base", None).unwrap_err().to_string()
    };
    assert!(of_tied(config).contains("tied embeddings"));

    // At the embedding and the head.
    let at = |module: &str| LoraConfig { target_modules: names(&[module]), ..default() };
    assert!(problem(LoraConfig { lora_dropout: 0.1, ..at("lm_head") }).contains("lora_dropout"));
    assert!(problem(LoraConfig { use_dora: true, ..at("embed_tokens") }).contains("use_dora: has no place"));
    assert!(problem(LoraConfig { lora_bias: true, ..at("lm_head") }).contains("lora_bias: has no place"));
    let pissa = LoraConfig { init_lora_weights: LoraStart::Pissa, ..at("lm_head") };
    assert!(problem(pissa).contains("pissa: has no place at `lm_head`"));
    let tokens = |tokens: &[u32]| LoraConfig { trainable_token_indices: tokens.to_vec(), ..default() };
    assert!(problem(tokens(&[3, 256])).contains("expected tokens below 256, found 256"));
    assert!(problem(tokens(&[3, 4, 3])).contains("token 3 is there twice"));
    let both = "would have an adapter as well";
    assert!(problem(LoraConfig { trainable_token_indices: vec![1], ..at("embed_tokens") }).contains(both));
    assert!(of_tied(LoraConfig { trainable_token_indices: vec![1], ..at("lm_head") }).contains(both));
}

#[test]
fn a_model_without_a_head_takes_no_adapter_of_one() {
    let dir = || ModelDir::open(&Path::new(SHIPPED).join("models/llama")).unwrap();
    let like = |config: LoraConfig| {
        let policy = dir().with_new_adapter(&config, "base", None).unwrap();
        policy.trainable_like(dir().model(&CPU).unwrap(), 0, &CPU)
    };
    let default = || LoraConfig { r: 4, ..LoraConfig::default() };
    let at = |module: &str| Modules::Names(vec![module.to_owned()]);
    let problem = like(LoraConfig { target_modules: at("lm_head"), ..default() }).unwrap_err().to_string();
    assert!(problem.contains("a reward model has no `lm_head`"), "{problem}");
    // What a policy trains whole is another matter: a critic has adapters of its layers beside it.
    let critic = like(LoraConfig { modules_to_save: vec!["lm_head".into()], ..default() }).unwrap();
    assert!(critic.config.has_adapter());
}

#[test]
fn an_embedding_that_was_saved_beside_the_adapter_is_that_of_the_base() {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(SHIPPED).join("adapters/embedding");
    let file = dir.path().join("adapter_model.safetensors");
    std::fs::copy(golden.join("adapter_model.safetensors"), &file).unwrap();
    let text = std::fs::read_to_string(golden.join("adapter_config.json")).unwrap();
    let base = Path::new(SHIPPED).join("models/llama").display().to_string();
    let text = text.replace("../../models/llama", &base);
    std::fs::write(dir.path().join("adapter_config.json"), text).unwrap();
    let opened = || ModelDir::open(dir.path()).and_then(|dir| dir.model(&CPU).map(drop));
    opened().unwrap();
    let mut tensors = candle_core::safetensors::load(&file, &CPU).unwrap();
    let copy = tensors.get_mut("base_model.model.lm_head.base_layer.weight").unwrap();
    *copy = (copy.clone() + 1e-3).unwrap();
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let problem = opened().unwrap_err().to_string();
    assert!(problem.contains("saved over another `lm_head.weight` than the base has"), "{problem}");
}

/// A copy of a golden adapter, its settings changed.
fn changed(field: &str, value: &Value) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let golden = Path::new(SHIPPED).join("adapters/lora");
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        std::fs::copy(golden.join(name), dir.path().join(name)).unwrap();
    }
    let path = dir.path().join("adapter_config.json");
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    json["base_model_name_or_path"] = Path::new(SHIPPED).join("models/llama").display().to_string().into();
    json[field] = value.clone();
    std::fs::write(&path, json.to_string()).unwrap();
    let opened = ModelDir::open(dir.path()).and_then(|dir| dir.model(&CPU).map(drop));
    (dir, opened.err().map(|error| error.to_string()).unwrap_or_default())
}

#[test]
fn a_damaged_adapter_is_said() {
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(changed("r", &json("4")).1, "", "the copy itself is sound");
    for (field, value, says) in [
        ("r", "8", "expected shape [8, 32] by adapter_config.json, found [4, 32]"),
        ("r", "0", "`r`: expected a number from 1 on, found 0"),
        ("r", "\"x\"", "`r`: expected a number"),
        ("r", "4000000000", "expected a rank"),
        ("peft_type", "\"IA3\"", "`peft_type`: expected \"LORA\""),
        ("bias", "\"all\"", "`bias`"),
        ("target_modules", "[\"q_proj\"]", "that adapter_config.json does not account for"),
        ("target_modules", "null", "`target_modules`: expected the names"),
        ("target_modules", "[\"c_attn\"]", "no module `c_attn`"),
        ("use_dora", "true", "lora_magnitude_vector` is missing"),
        ("use_dora", "1", "`use_dora`: expected true or false, found 1"),
        ("fan_in_fan_out", "true", "`fan_in_fan_out`: adapters that use it are not supported"),
        ("target_parameters", "[\"w\"]", "`target_parameters`"),
        ("init_lora_weights", "\"pissa_niter_4\"", "path_initial_model_for_weight_conversion"),
        ("base_model_name_or_path", "\"org/absent\"", "no directory or GGUF file `org/absent`"),
        ("base_model_name_or_path", "null", "the name or path of the model"),
        ("base_quantization", "{\"load_in_4bit\": true}", "`base_quantization`: expected `load_in_8bit`, or"),
        ("rank_pattern", "[1]", "`rank_pattern`: expected values by the names"),
        ("rank_pattern", "{\"(\": 3}", "is no regular expression"),
        ("trainable_token_indices", "[1]", "trainable_tokens_delta` is missing"),
        ("trainable_token_indices", "{\"lm_head\": [1]}", "expected tokens of `embed_tokens` alone"),
        ("modules_to_save", "[\"lm_head\"]", "lm_head.weight` is missing"),
    ] {
        let (_dir, found) = changed(field, &json(value));
        assert!(found.contains(says), "{field} = {value}: {found}");
    }
    let other = Path::new(SHIPPED).join("models/qwen3").display().to_string();
    assert!(changed("base_model_name_or_path", &other.into()).1.contains("expected shape"));
    let own = Path::new(SHIPPED).join("adapters/lora").display().to_string();
    assert!(changed("base_model_name_or_path", &own.into()).1.contains("is an adapter itself"));
}
