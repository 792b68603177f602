//! Model directories whose files lie: one error that names the file and the field, before memory is taken for them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use align_models::{ModelDir, RewardHead, random_weights};
use candle_core::Device;
use serde_json::{Value, json};

const CPU: Device = Device::Cpu;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/models").join(name)
}

/// A copy of a golden model, with fields of its `config.json` replaced; null removes one.
fn copy(name: &str, fields: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::write(dir.path().join(path.file_name().unwrap()), fs::read(&path).unwrap()).unwrap();
    }
    let path = dir.path().join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    fields.as_object().unwrap().iter().for_each(|(name, value)| config[name] = value.clone());
    fs::write(path, config.to_string()).unwrap();
    dir
}

/// What is said of a config with these fields.
fn complaint(fields: &Value) -> String {
    let dir = copy("llama", fields);
    let error = ModelDir::open(dir.path()).err().unwrap_or_else(|| panic!("{fields} is accepted"));
    error.to_string()
}

#[test]
fn sizes_that_no_model_has_are_refused() {
    for (field, most) in [
        ("vocab_size", 1 << 24),
        ("hidden_size", 1 << 22),
        ("intermediate_size", 1 << 22),
        ("num_hidden_layers", 10_000),
        ("num_attention_heads", 1 << 16),
        ("num_key_value_heads", 1 << 16),
        ("head_dim", 1 << 16),
        ("max_position_embeddings", 1 << 30),
    ] {
        for wrong in [
            json!(most + 1),
            json!(u64::MAX),
            json!(0),
            json!(-1),
            json!(2.5),
            json!("8"),
            json!([1]),
            json!(1e300),
        ] {
            let found = complaint(&json!({ field: wrong }));
            let expected =
                format!("config.json: `{field}`: expected a whole number from 1 to {most}, found {wrong}");
            assert!(found.ends_with(&expected), "{found}");
        }
    }
}

#[test]
fn numbers_that_would_make_nan_are_refused() {
    let check = |fields: Value, words: &str| {
        let found = complaint(&fields);
        assert!(found.contains(words) && found.contains("config.json: `"), "{fields}: {found}");
    };
    for theta in [json!(0), json!(-5), json!(1e-300), json!(1e300), json!("1e4")] {
        check(json!({ "rope_parameters": { "rope_theta": theta } }), "`rope_theta`");
        check(json!({ "rope_parameters": null, "rope_theta": theta }), "`rope_theta`");
    }
    for epsilon in [json!(0), json!(-1), json!(1e300)] {
        check(json!({ "rms_norm_eps": epsilon }), "`rms_norm_eps`: expected a number from 1e-30 to 1e0");
    }
    for rope in [json!(5), json!("linear"), json!([]), json!(true)] {
        check(json!({ "rope_parameters": rope }), "`rope_parameters`: expected an object");
        check(json!({ "rope_parameters": null, "rope_scaling": rope }), "`rope_scaling`: expected an object");
    }
    for factor in [json!(null), json!(0), json!(-2), json!(1e-300), json!(1e300)] {
        let rope = json!({ "rope_type": "linear", "factor": factor });
        check(json!({ "rope_parameters": rope }), "`factor`: expected a number from 1e-6 to 1e9");
    }
    let llama3 = json!({ "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4 });
    check(json!({ "rope_parameters": llama3 }), "`high_freq_factor`: expected more than low_freq_factor (4)");
    check(json!({ "initializer_range": -0.1 }), "`initializer_range`");
    check(json!({ "num_attention_heads": 7 }), "`num_key_value_heads`: expected a divisor");
    check(json!({ "head_dim": 7 }), "`head_dim`: expected an even number");
}

#[test]
fn a_long_wrong_value_is_not_repeated_whole() {
    assert!(complaint(&json!({ "vocab_size": "x".repeat(100_000) })).len() < 600);
}

#[test]
fn tokens_that_end_a_text_are_tokens_of_the_model() {
    let ids = |id: Value| {
        let dir = copy("llama", &json!({ "eos_token_id": id }));
        let _ = fs::remove_file(dir.path().join("generation_config.json"));
        ModelDir::open(dir.path()).unwrap().eos_token_ids()
    };
    assert_eq!((ids(json!([2, 3])).unwrap(), ids(json!(null)).unwrap()), (vec![2, 3], vec![]));
    for wrong in [json!((1_u64 << 32) + 2), json!(-1), json!("</s>"), json!([2, 1.5]), json!(1_000_000)] {
        let found = ids(wrong.clone()).unwrap_err().to_string();
        assert!(
            found.contains("config.json: `eos_token_id`: expected token ids below vocab_size = "),
            "{wrong}: {found}"
        );
    }
}

#[test]
fn weights_that_no_machine_holds_are_refused_before_they_are_made() {
    let dir =
        copy("llama", &json!({ "vocab_size": 1 << 24, "hidden_size": 1 << 20, "tie_word_embeddings": true }));
    let model = ModelDir::open(dir.path()).unwrap();
    let error = random_weights(model.decoder_config(), 1, &CPU).unwrap_err().to_string();
    assert!(
        error.starts_with("the model of config.json: needs ") && error.ends_with(" are available"),
        "{error}"
    );
    let head = RewardHead::Mlp { hidden_size: usize::MAX };
    let error = head.random_weights(model.decoder_config(), 1, &CPU).unwrap_err().to_string();
    assert!(
        error.starts_with("a reward model with an mlp head of hidden size 18446744073709551615: needs "),
        "{error}"
    );
    let error = model.load(&CPU).unwrap_err().to_string();
    assert!(error.contains("expected shape [16777216, 1048576] by config.json"), "{error}");
}

#[test]
fn a_classifier_says_how_many_labels_and_what_head_it_has() {
    let wrong = |fields: Value, words: &str| {
        let dir = copy("llama-seqcls", &fields);
        let error = ModelDir::open(dir.path()).unwrap().reward_head().unwrap_err().to_string();
        assert!(error.contains(words), "{fields}: {error}");
    };
    wrong(json!({ "id2label": null, "num_labels": u64::MAX }), "classifier of 18446744073709551615 labels");
    for size in [json!(0), json!(u64::MAX), json!(-1), json!(1_u64 << 32)] {
        wrong(json!({ "reward_head": { "type": "mlp", "hidden_size": size } }), "with N from 1 to 4194304");
    }
}

#[test]
fn damaged_weights_are_named_with_what_was_expected() {
    let dir = copy("llama", &json!({}));
    let path = dir.path().join("model.safetensors");
    let whole = fs::read(&path).unwrap();
    let model = ModelDir::open(dir.path()).unwrap();
    let loaded = || model.load(&CPU).map(drop);
    assert!(loaded().is_ok());
    for length in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = loaded().unwrap_err().to_string();
        assert!(
            error.contains("model.safetensors: is not a readable safetensors file: "),
            "{length}: {error}"
        );
    }
    fs::write(&path, [whole.as_slice(), b"more"].concat()).unwrap();
    assert!(loaded().unwrap_err().to_string().contains("copied or downloaded in full?"));
}

/// A file with holes is as large as it says and takes no place: the header is right, the weights are zeros.
#[test]
fn weights_that_memory_cannot_hold_are_refused_before_they_are_read() {
    let dir =
        copy("llama", &json!({ "vocab_size": 1 << 20, "hidden_size": 1 << 18, "num_hidden_layers": 1 }));
    let model = ModelDir::open(dir.path()).unwrap();
    let mut end = 0_usize;
    let tensors = model.decoder_config().weight_shapes().into_iter().map(|(name, shape)| {
        let start = end;
        end += 2 * shape.iter().product::<usize>();
        (name, json!({ "dtype": "BF16", "shape": shape, "data_offsets": [start, end] }))
    });
    let header = Value::Object(tensors.collect()).to_string();
    let path = dir.path().join("model.safetensors");
    fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()).unwrap();
    let length = (8 + header.len() + end) as u64;
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
    let error = model.load(&CPU).unwrap_err().to_string();
    let needed = format!("in f32: needs {} bytes of memory, ", 2 * end);
    assert!(error.contains(&needed) && error.ends_with(" are available"), "{error}");
}

/// Hours lie between the first save of a run and its last.
#[test]
fn what_is_saved_beside_the_weights_is_what_lay_there_when_the_model_was_opened() {
    let dir = copy("llama", &json!({}));
    let of = |name: &str| dir.path().join(name);
    fs::write(of("tokenizer.json"), "vocabulary").unwrap();
    fs::write(of("chat_template.jinja"), "as it was").unwrap();
    let model = ModelDir::open(dir.path()).unwrap();
    let params = model.load(&CPU).unwrap();
    let eos = model.eos_token_ids().unwrap();
    fs::write(of("chat_template.jinja"), "another").unwrap();
    fs::write(of("merges.txt"), "of another model").unwrap();
    fs::write(of("generation_config.json"), "{").unwrap();
    fs::remove_file(of("tokenizer.json")).unwrap();
    let saved = tempfile::tempdir().unwrap();
    model.save(&params, saved.path()).unwrap();
    let text = |name: &str| fs::read_to_string(saved.path().join(name)).unwrap();
    assert_eq!(
        (text("tokenizer.json"), text("chat_template.jinja")),
        ("vocabulary".into(), "as it was".into())
    );
    assert!(
        !saved.path().join("merges.txt").exists() && !model.saved_names().any(|name| name == "merges.txt")
    );
    assert_eq!(model.eos_token_ids().unwrap(), eos);
}

#[test]
fn what_lies_beside_the_weights_is_bounded() {
    let dir = copy("llama", &json!({}));
    let file = fs::File::create(dir.path().join("tokenizer.model")).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = ModelDir::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.model: has 1099511627776 bytes or more, expected at most"), "{error}");
}

#[test]
fn shards_lie_beside_their_index_and_are_files() {
    let sharded = |name: &str| {
        let dir = copy("llama-sharded-bf16", &json!({}));
        let index = dir.path().join("model.safetensors.index.json");
        let mut json: Value = serde_json::from_str(&fs::read_to_string(&index).unwrap()).unwrap();
        let map = json["weight_map"].as_object_mut().unwrap();
        let first = map.values().next().unwrap().as_str().unwrap().to_owned();
        map.values_mut().filter(|shard| **shard == json!(first)).for_each(|shard| *shard = json!(name));
        fs::write(index, json.to_string()).unwrap();
        let _ = fs::rename(dir.path().join(first), dir.path().join("renamed.safetensors"));
        #[cfg(unix)]
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("device.safetensors")).unwrap();
        ModelDir::open(dir.path()).unwrap().load(&CPU).map(drop)
    };
    sharded("renamed.safetensors").unwrap();
    for name in ["../x.safetensors", "/etc/passwd", "a/b"] {
        let error = sharded(name).unwrap_err().to_string();
        assert!(error.contains(&format!("expected names of files beside it, found `{name}`")), "{error}");
    }
    assert!(sharded("absent").unwrap_err().to_string().contains("No such file"));
    #[cfg(unix)]
    assert!(sharded("device.safetensors").unwrap_err().to_string().contains("expected an ordinary file"));
}

#[test]
fn what_a_file_says_does_not_fill_the_terminal() {
    let long = "x".repeat(100_000);
    for (fields, cause) in [
        (json!({ "model_type": long }), "`model_type` is `xxx"),
        (json!({ "hidden_act": long }), "hidden_act"),
        (json!({ "rope_parameters": { "rope_type": long } }), "rope type `xxx"),
    ] {
        let said = complaint(&fields);
        assert!(said.contains(cause) && said.len() < 4000, "{} bytes: {said:.300}", said.len());
    }
}
