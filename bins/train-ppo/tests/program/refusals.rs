//! Bad input: exit code 2, one line that says where, and nothing left behind.

use std::fs;
use std::path::Path;

use crate::stage::QUICK;
use crate::support::{Place, check, copy_dir, training};

/// A reward model with the policy's backbone and tokenizer and some head.
pub(crate) fn reward_model(place: &Place, name: &str) {
    copy_dir(&place.path("model"), &place.path(name));
    let config = place.path(name).join("config.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    json["architectures"] = serde_json::json!(["LlamaForSequenceClassification"]);
    json["id2label"] = serde_json::json!({ "0": "LABEL_0" });
    fs::write(config, json.to_string()).unwrap();
    let weights = place.path(name).join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let head: Vec<u8> = (0..32u8).flat_map(|i| (f32::from(i) / 32.0 - 0.4).to_le_bytes()).collect();
    let head = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 32], &head).unwrap();
    let tensors = file.tensors().into_iter().chain([("score.weight".to_owned(), head)]);
    fs::write(weights, safetensors::serialize(tensors, None).unwrap()).unwrap();
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = Place::new();
    let refused = |options: &str, fragments: &[&str]| {
        check(&place, &training("out", &format!("--reward-funcs length:1..30 {options}")), fragments);
    };
    refused("--temperature 0", &["`temperature` = 0", "must be positive"]);
    refused("--min-new-tokens 2", &["`min_new_tokens` = 2", "remove it"]);
    refused("--repetition-penalty 1.2", &["`repetition_penalty` = 1.2", "remove it"]);
    refused("--top-k 40", &["`top_k` = 40: cuts the samples", "remove it"]);
    refused("--top-p 0.9", &["`top_p` = 0.9: cuts the samples", "remove it"]);
    refused("--max-new-tokens 0", &["max_new_tokens"]);
    refused("--num-ppo-epochs 0", &["`num_ppo_epochs` = 0"]);
    refused("--num-mini-batches 0", &["`num_mini_batches` = 0"]);
    refused("--cliprange -1", &["`cliprange` = -1"]);
    refused("--cliprange-value nan", &["`--cliprange-value` cannot be `nan`"]);
    let huge = "--steps-per-generation 65536 --per-device-train-batch-size 65536 --method grpo";
    refused(huge, &["× steps_per_generation = 65536 × 65536 completions", "more than the 1048576"]);
    let huge = "--num-mini-batches 65536 --gradient-accumulation-steps 65536";
    refused(huge, &["× num_mini_batches = ", "more than the 1048576"]);
    refused(
        "--num-generations-eval 1000000000000",
        &["`--num-generations-eval` cannot be", "from 0 to 65536"],
    );
    refused("--vf-coef -0.1", &["`vf_coef` = -0.1"]);
    refused("--entropy-coef inf", &["`--entropy-coef` cannot be `inf`"]);
    refused("--temperature 1e-300", &["`temperature` must be 0 (greedy) or from 0.0001 to 10000"]);
    refused("--gamma 1.1", &["`gamma` = 1.1"]);
    refused("--lam -0.1", &["`lam` = -0.1"]);
    refused("--kl-coef -1", &["`kl_coef` = -1"]);
    refused("--init-kl-coef 0 --adap-kl-ctrl", &["`kl_coef` = 0", "steered"]);
    refused("--target-kl 3", &["`target_kl` = 3", "no effect without `adap_kl_ctrl`"]);
    refused("--horizon 3", &["`horizon` = 3", "no effect without `adap_kl_ctrl`"]);
    refused(
        "--adap-kl-ctrl --horizon 10 --per-device-train-batch-size 64 --gradient-accumulation-steps 1",
        &["`horizon` = 10", "a fifth of a phase's 64 completions", "positive"],
    );
    refused("--early-stop-kl 0", &["`early_stop_kl` = 0"]);
    for option in ["early-stop-kl 0.1", "cliprange 0.1", "cliprange-value 0.1"] {
        let (name, _) = option.split_once(' ').unwrap();
        let expected = format!("`{}`: has no effect, with one update a phase", name.replace('-', "_"));
        refused(&format!("--num-ppo-epochs 1 --{option}"), &[&expected, "`num_mini_batches`"]);
    }
    refused("--vf-coef 0 --cliprange-value 0.1", &["`cliprange_value`: has no effect, with `vf_coef` 0"]);
    refused("--kl-coef 0 --kl-estimator k3", &["`kl_estimator`: has no effect, with `kl_coef` 0"]);
    refused("--reference-column right", &["`reference_column`: has no effect, no reward function compares"]);
    refused("--score-clip -1", &["`score_clip` = -1"]);
    refused("--missing-eos-penalty -1", &["`missing_eos_penalty` = -1"]);
    refused("--total-episodes 0", &["`total_episodes`"]);
    refused("--total-episodes 8 --max-steps 3", &["`max_steps`: has no effect", "`total_episodes`"]);
    refused("--kl-estimator k2", &["`--kl-estimator`", "`k2`"]);
    refused("--max-length 30", &["`max_length`: has no effect", "`max_new_tokens`"]);
    refused("--max-new-tokens 8 --max-completion-length 9", &["`max_new_tokens`: has no effect"]);
    refused("--eval-strategy steps --eval-dataset data.jsonl", &["`eval_strategy`: has no effect"]);
    refused("--judge world", &["`judge`: has no effect", "no held-out rows"]);
    place.write("foreign.jsonl", r#"{"prompt": "Who are you?"}"#);
    let foreign = "foreign.jsonl:1: the prompt is none of the fixtures' world";
    refused("--judge world --eval-dataset foreign.jsonl", &[foreign]);
    refused("--num-eval-prompts 3", &["`num_eval_prompts`: has no effect", "no held-out rows"]);
    refused("--value-model reward_model", &["`value_model` = reward_model"]);
}

#[test]
fn rewards_that_cannot_be_are_refused() {
    let place = Place::new();
    let refused = |options: &str, fragments: &[&str]| check(&place, &training("out", options), fragments);
    refused("", &["nothing gives scores", "--reward-model-path", "--reward-funcs", "--reward-command"]);
    refused("--reward-funcs lenght:1..3", &["lenght:1..3", "exact_match"]);
    refused("--reward-funcs length:3", &["a range such as length:1..200, found `3`"]);
    refused("--reward-funcs length:9..3", &["expected a range from the shorter to the longer"]);
    refused("--reward-funcs format:(", &["not a regular expression"]);
    refused("--reward-funcs 2*model", &["`2*model` is no rule", "--reward-model-path"]);
    refused("--reward-funcs 2*length:1..3 --reward-weights 1", &["`reward_weights`", "weight of its own"]);
    refused("--reward-funcs exact_match", &["data.jsonl:1", "the row has no `answer`"]);
    refused("--reward-funcs length:1..3 --reward-weights 1,2", &["`reward_weights`", "expected 1"]);
    refused("--reward-funcs length:1..3 --reward-from-text", &["`reward_from_text`: has no effect"]);
    refused("--reward-funcs length:1..3 --normalize-scores", &["`normalize_scores`: has no effect"]);
    refused("--reward-model-path nowhere", &["nowhere"]);
    refused("--reward-model-path model", &["reward_model_path model: is a language model"]);
}

#[test]
fn a_reward_model_of_another_tokenizer_is_refused_or_reads_texts() {
    let place = Place::new();
    let golden = Path::new(crate::support::RUNS).join("../models/llama-seqcls");
    copy_dir(&golden, &place.path("reward"));
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(place.path("model").join(name), place.path("reward").join(name)).unwrap();
    }
    // 256 rows for a tokenizer of 1024 ids.
    check(&place, &training("out", "--reward-model-path reward"), &["reward/config.json", "256", "1023"]);

    // The same words as other tokens.
    reward_model(&place, "other");
    let tokenizer = fs::read_to_string(place.path("other/tokenizer.json")).unwrap();
    let swapped = tokenizer.replace("\"Ġa\": 263", "\"Ġa\": 262").replace("\"Ġt\": 262", "\"Ġt\": 263");
    assert!(swapped != tokenizer, "the two tokens are there");
    fs::write(place.path("other/tokenizer.json"), swapped).unwrap();
    let options = QUICK.replace("--reward-funcs length:1..30", "--reward-model-path other");
    let options = format!("{options} --max-steps 4 --save-strategy no");
    check(&place, &training("out", &options), &["reward_model_path other: token", "--reward-from-text"]);
    let run = place.train("text", &format!("{options} --reward-from-text"));
    assert_eq!(run.metric("objective/scores").len(), 1);

    // With the policy's tokenizer it reads the policy's tokens, and the critic starts from it.
    reward_model(&place, "fitting");
    let own = options.replace("--reward-model-path other", "--reward-model-path fitting");
    check(&place, &training("out", &format!("{own} --normalize-scores")), &["reward_normalization.json"]);
    let ended = place.succeeds(&training("tokens", &own));
    assert!(ended.stderr.contains("tensors are the model's own and are held once"), "{}", ended.stderr);
    let run = place.run("tokens");
    assert!(run.metric("loss/value_avg")[0] > 0.0);
}

#[test]
fn prompts_that_leave_no_room_for_an_answer_are_refused() {
    let place = Place::new();
    let long = format!("{{\"prompt\": \"{}\"}}\n", "the ".repeat(600));
    place.write("data.jsonl", format!("{{\"prompt\": \"Hello\"}}\n{long}"));
    let options = format!("{QUICK} --save-strategy no --max-steps 4");
    check(
        &place,
        &training("out", &options),
        &["data.jsonl:2: the prompt has", "max_position_embeddings 512"],
    );
    let run = place.train("cut", &format!("{options} --max-prompt-length 20"));
    assert_eq!(run.metric("objective/kl").len(), 1);
}

/// Until nothing can go wrong any more, the run before is as it was.
#[test]
fn what_is_in_the_way_is_found_before_the_run_before_is_gone() {
    let place = Place::new();
    let options = format!("{QUICK} --max-steps 4 --save-strategy no");
    place.train("out", &options);
    let overwrite = training("out", &format!("{options} --overwrite-output-dir"));
    let notes = fs::read_to_string(place.path("out/.align/written")).unwrap();
    place.write("out/.align/written", notes.replace("samples.jsonl\n", ""));
    check(&place, &overwrite, &["out/samples.jsonl: is in the way"]);
    place.write("out/.align/written", notes);
    fs::create_dir_all(place.path("out/checkpoint-0")).unwrap();
    place.write("out/checkpoint-0/notes.txt", "mine");
    check(&place, &overwrite, &["out/checkpoint-0: is in the way of a checkpoint"]);
}

#[test]
fn an_answer_that_would_change_the_model_on_the_way_is_refused() {
    let place = Place::new();
    crate::families::start_from(&place, "phi3-longrope");
    let options = |prompt: usize| format!("{QUICK} --resize-token-embeddings --max-prompt-length {prompt}");
    check(&place, &training("out", &options(12)), &["data.jsonl:", "`rope_type`", "`max_new_tokens` is 12"]);
    place.train("short", &format!("{} --total-episodes 8", options(4)));
}
