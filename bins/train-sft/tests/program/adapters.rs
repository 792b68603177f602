//! Training an adapter: what is written, what every option of it does, going on from it.

use std::fs;

use serde_json::json;

use crate::families::start_from;
use crate::stage;
use crate::support::{Place, Run, copy_dir, names, training};

/// A few quick steps that move B off zero, and then A.
fn quick(options: &str) -> String {
    format!("{} --max-steps 3 --save-strategy no --use-peft {options}", stage::FAMILY)
}

#[test]
fn an_adapter_is_trained_and_the_model_is_not() {
    let place = Place::new();
    let before = fs::read(place.path("model/model.safetensors")).unwrap();
    let run = place.train("out", &quick(""));
    assert_eq!(fs::read(place.path("model/model.safetensors")).unwrap(), before);
    let files = names(&run, ".");
    for name in ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "report.json"] {
        assert!(files.contains(name), "{name} is not in {files:?}");
    }
    assert!(!files.contains("config.json") && !files.contains("model.safetensors"), "{files:?}");
    let settings = run.json("adapter_config.json");
    let base = place.path("model").canonicalize().unwrap();
    assert_eq!(settings["base_model_name_or_path"], base.to_str().unwrap());
    assert_eq!((&settings["r"], &settings["lora_alpha"]), (&json!(16), &json!(32)));
    assert_eq!(settings["task_type"], if stage::WITHOUT_HEAD { "SEQ_CLS" } else { "CAUSAL_LM" });
    let weights = run.weights();
    assert!(weights.keys().all(|name| name.starts_with("base_model.model.")));
    assert!(
        weights.values().all(|values| values.iter().any(|value| *value != 0.0)),
        "something was not trained"
    );
    assert_eq!(weights.keys().any(|name| name == "base_model.model.score.weight"), stage::WITHOUT_HEAD);
}

#[test]
fn every_option_of_an_adapter_does_something() {
    let place = Place::new();
    let options = [
        "",
        "--lora-r 2",
        "--lora-alpha 8",
        "--lora-target-modules q_proj,down_proj",
        "--lora-target-modules .*mlp.*",
        "--exclude-modules k_proj",
        "--layers-to-transform 1",
        "--lora-modules-to-save input_layernorm",
        "--rank-pattern q_proj=2",
        "--alpha-pattern q_proj=2",
        "--use-rslora",
        "--use-dora",
        "--lora-bias",
        "--init-lora-weights gaussian",
        "--init-lora-weights pissa",
        "--lora-target-modules q_proj,embed_tokens",
        "--trainable-token-indices 70,71,72,73,74,75,76,77,78,79",
        "--loraplus-lr-ratio 16",
        "--load-in-4bit",
        "--load-in-4bit --bnb-4bit-quant-type fp4",
        "--load-in-4bit --bnb-4bit-use-double-quant",
        "--load-in-8bit",
    ];
    let mut models = Vec::new();
    for (number, option) in options.iter().enumerate() {
        let run = place.train(&number.to_string(), &quick(option));
        models.push((option, run.model()));
    }
    for (number, (option, model)) in models.iter().enumerate() {
        let same = models[..number].iter().find(|(_, earlier)| earlier == model);
        assert!(same.is_none(), "`{option}` gives the adapter of `{}`", same.unwrap().0);
    }
    assert!(place.train("again", &quick("")).model() == models[0].1, "the same options give another adapter");

    let settings = |number: &str| place.run(number).json("adapter_config.json");
    assert_eq!(settings("3")["target_modules"], json!(["q_proj", "down_proj"]));
    assert_eq!(settings("4")["target_modules"], json!(".*mlp.*"));
    assert_eq!(settings("5")["exclude_modules"], json!(["k_proj"]));
    assert_eq!(settings("6")["layers_to_transform"], json!([1]));
    assert_eq!(settings("8")["rank_pattern"], json!({ "q_proj": 2 }));
    assert_eq!(settings("9")["alpha_pattern"], json!({ "q_proj": 2 }));
    assert_eq!(settings("10")["use_rslora"], true);
    assert_eq!(settings("13")["init_lora_weights"], "gaussian");
    assert_eq!(settings("14")["r"], 32);
    let has = |number: &str, part: &str| place.run(number).weights().keys().any(|name| name.contains(part));
    assert!(has("7", "layers.0.input_layernorm.weight") && !has("0", "input_layernorm"));
    assert!(has("11", "lora_magnitude_vector") && has("12", "lora_B.bias"));
    assert!(!has("6", "layers.0.") && has("6", "layers.1."));
    assert!(has("15", "lora_embedding_B") && has("16", "trainable_tokens_delta"));
}

#[test]
fn an_adapter_learns_ten_times_as_fast_by_default() {
    let place = Place::new();
    let rate = |out: &str, options: &str| {
        let options = format!("{} {options}", stage::FAMILY).replace("--learning-rate 1e-3", "");
        let run = place
            .train(out, &format!("{options} --max-steps 1 --save-strategy no --lr-scheduler-type constant"));
        let settings = fs::read_to_string(run.dir.join("training_args.toml")).unwrap();
        let line = settings.lines().find_map(|line| line.strip_prefix("learning_rate = ")).unwrap();
        line.parse::<f64>().unwrap()
    };
    let all = rate("all", "");
    let ratio = rate("adapter", "--use-peft") / all;
    assert!((ratio - 10.0).abs() < 1e-9, "{ratio}");
}

#[test]
fn an_adapter_is_trained_further_and_resumed_to_the_bit() {
    let place = Place::new();
    let first = place.train("first", &quick(&format!("--use-dora {}", stage::DROPOUT)));
    // The model is the adapter, then; what it is made of, and where it began, is known.
    let options = format!("{} --max-steps 8 --save-strategy steps --save-steps 4", stage::FAMILY);
    let on = |out: &str, options: &str| {
        let ended = place.ended(&training(out, options).replace("--model model", "--model first"));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        place.run(out)
    };
    let whole = on("whole", &options);
    assert_ne!(whole.model(), first.model());
    let settings = |run: &Run| run.json("adapter_config.json");
    assert_eq!(settings(&whole), settings(&first));
    let held = names(&whole, "checkpoint-4");
    assert!(held.contains("adapter_model.safetensors") && !held.contains("model.safetensors"), "{held:?}");
    copy_dir(&whole.dir, &place.path("stopped"));
    fs::remove_dir_all(place.path("stopped/checkpoint-8")).unwrap();
    let resumed = on("stopped", &format!("{options} --resume-from-checkpoint last"));
    assert!(resumed.model() == whole.model(), "a resumed run ends with another adapter");
    assert_eq!(resumed.metric("loss"), whole.metric("loss"));
    assert_eq!(resumed.metric("grad_norm"), whole.metric("grad_norm"));

    let again = place.ended(&training("x", &quick("")).replace("--model model", "--model first"));
    assert!(
        again.code == Some(2) && again.stderr.contains("is an adapter, which is trained further"),
        "{}",
        again.stderr
    );
    let base = place.path("gone");
    fs::rename(place.path("model"), &base).unwrap();
    let orphan = place.ended(&training("x", &options).replace("--model model", "--model first"));
    assert!(orphan.code == Some(2) && orphan.stderr.contains("base_model_name_or_path"), "{}", orphan.stderr);
}

#[test]
fn fused_modules_are_resumed_with_and_without_an_adapter() {
    let place = Place::new();
    start_from(&place, "phi3");
    // The golden model is smaller than the tokenizer: its rows are given to it once, for all that follows.
    let start = format!("{} --max-steps 1 --save-strategy no --resize-token-embeddings", stage::FAMILY);
    if !stage::WITHOUT_HEAD {
        place.train("larger", &start);
        place.start_from(&place.path("larger"));
    }
    let resize = if stage::WITHOUT_HEAD { "--resize-token-embeddings" } else { "" };
    for (out, adapter) in [("dense", resize), ("adapter", "--use-peft --lora-r 4")] {
        if stage::WITHOUT_HEAD && out == "adapter" {
            continue;
        }
        let options =
            format!("{} --max-steps 8 --save-strategy steps --save-steps 4 {adapter}", stage::FAMILY);
        let whole = place.train(out, &options);
        let stopped = format!("{out}-stopped");
        copy_dir(&whole.dir, &place.path(&stopped));
        fs::remove_dir_all(place.path(&stopped).join("checkpoint-8")).unwrap();
        let resumed = place.train(&stopped, &format!("{options} --resume-from-checkpoint last"));
        assert!(resumed.model() == whole.model(), "{out}: a resumed run ends with another model");
        assert!(whole.weights().keys().any(|name| name.contains("qkv_proj")), "{out}");
    }
}

#[test]
fn options_that_make_no_adapter_are_refused() {
    let place = Place::new();
    let before = place.tree();
    let refused = |options: &str, says: &str| {
        let ended = place.ended(&training("out", &format!("{} {options}", stage::FAMILY)));
        assert!(ended.code == Some(2) && ended.stderr.contains(says), "{options}: {}", ended.stderr);
    };
    for option in [
        "--lora-r 8",
        "--lora-alpha 8",
        "--lora-target-modules q_proj",
        "--exclude-modules q_proj",
        "--layers-to-transform 1",
        "--lora-modules-to-save norm",
        "--trainable-token-indices 7",
        "--rank-pattern q_proj=2",
        "--alpha-pattern q_proj=2",
        "--use-rslora",
        "--use-dora",
        "--lora-bias",
        "--init-lora-weights gaussian",
        "--lora-task-type SEQ_CLS",
    ] {
        refused(option, "without `--use-peft`");
    }
    refused("--loraplus-lr-ratio 2", "without an adapter");
    refused("--load-in-4bit", "give `--use-peft`");
    refused("--load-in-8bit", "give `--use-peft`");
    refused("--use-peft --load-in-8bit --load-in-4bit", "exclude each other");
    refused("--use-peft --bnb-4bit-quant-type fp4", "without `--load-in-4bit`");
    refused("--use-peft --load-in-8bit --bnb-4bit-use-double-quant", "without `--load-in-4bit`");
    let other = if stage::WITHOUT_HEAD { "CAUSAL_LM" } else { "SEQ_CLS" };
    refused(&format!("--use-peft --lora-task-type {other}"), "what is trained here is");
    refused("--use-peft --lora-r 1000", "expected a rank from 1 to");
    refused("--use-peft --lora-r 0", "expected a rank from 1 to");
    refused("--use-peft --lora-dropout 1", "lora-dropout");
    refused("--use-peft --lora-alpha 0", "lora_alpha");
    refused("--use-peft --lora-target-modules q_porj", "no module `q_porj`; there are q_proj");
    refused("--use-peft --lora-target-modules (", "is no regular expression");
    refused("--use-peft --layers-to-transform 99", "no module of the model fits");
    refused("--use-peft --exclude-modules .*", "no module of the model fits");
    refused("--use-peft --lora-modules-to-save scroe", "no module `scroe`");
    refused("--use-peft --trainable-token-indices 7000000", "expected tokens below");
    refused("--use-peft --trainable-token-indices 7,7", "is there twice");
    refused(
        "--use-peft --lora-target-modules embed_tokens --lora-bias",
        "has no place at `model.embed_tokens`",
    );
    if stage::WITHOUT_HEAD {
        refused("--use-peft --lora-target-modules q_proj,lm_head", "a reward model has no `lm_head`");
    }
    refused("--use-peft --rank-pattern q_proj", "expected NAME=NUMBER");
    refused("--use-peft --rank-pattern q_proj=0", "expected a rank");
    refused("--use-peft --alpha-pattern q_proj=x", "expected NAME=NUMBER");
    refused("--use-peft --use-dora --lora-bias", "lora_bias");
    assert_eq!(place.tree(), before, "something was left behind");
}
