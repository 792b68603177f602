//! Scores and gradient norms of reward models against transformers, on every classifier of one label in
//! `fixtures/golden/models` (or in the folder that `ALIGN_GOLDEN_MODELS` names, of the same layout); and reward
//! models on disk.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it fails and reports what it ran"
)]

use std::fs;
use std::path::{Path, PathBuf};

use align_kernels::Params;
use align_losses::bradley_terry;
use align_models::{ModelDir, Packed, PadToken, RewardHead, RewardModel};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

const CPU: Device = Device::Cpu;
const LINEAR: RewardHead = RewardHead::Linear;
const MLP: RewardHead = RewardHead::Mlp { hidden_size: 16 };

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/models")
}

fn language_model() -> ModelDir {
    ModelDir::open(&own_folder().join("llama")).unwrap()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Reward models of the folder with what is expected of them.
fn goldens() -> Vec<(ModelDir, Value)> {
    let folder = std::env::var_os("ALIGN_GOLDEN_MODELS").map_or_else(own_folder, PathBuf::from);
    let mut dirs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    let rewards = dirs.iter().filter(|dir| dir.join("expected.json").is_file()).filter_map(|dir| {
        let expected = read_json(&dir.join("expected.json"));
        expected.get("rewards")?;
        match ModelDir::open(dir) {
            Ok(model) => Some((model, expected)),
            Err(error) => {
                println!("{}: skipped, {error}", dir.display());
                assert!(error.to_string().contains("supported"), "{error}");
                None
            }
        }
    });
    let rewards: Vec<_> = rewards.collect();
    let names: Vec<_> = rewards.iter().map(|(model, _)| model.path().file_name().unwrap()).collect();
    match std::env::var_os("ALIGN_GOLDEN_MODELS") {
        None => assert_eq!(names, ["gemma2-seqcls", "llama-seqcls", "qwen2-seqcls"]),
        Some(_) => assert!(!names.is_empty(), "no golden reward model"),
    }
    rewards
}

/// The golden rows without padding, the first token as the prompt.
fn rows(dir: &ModelDir) -> Packed {
    let tensors = candle_core::safetensors::load(dir.path().join("expected.safetensors"), &CPU).unwrap();
    let values = |name: &str| tensors[name].to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let mut packed = Packed::default();
    for (ids, mask) in values("input_ids").into_iter().zip(values("attention_mask")) {
        let ids: Vec<u32> = ids.into_iter().zip(mask).filter(|(_, real)| *real == 1).map(|p| p.0).collect();
        packed.push_completions(&ids[..1], &[&ids[1..]]);
    }
    packed
}

#[test]
fn rewards_and_gradients_are_those_of_transformers() {
    for (dir, expected) in goldens() {
        let (head, params) = dir.trainable_reward_model(None, 0, &CPU).unwrap();
        assert_eq!(head, LINEAR);
        let model = RewardModel::new(dir.decoder_config(), head, &params).unwrap();
        let rewards = model.rewards(&rows(&dir)).unwrap();
        let ours = rewards.to_vec1::<f32>().unwrap();
        let theirs: Vec<f32> = serde_json::from_value(expected["rewards"].clone()).unwrap();
        // `max` passes over NaN.
        assert!(ours.len() == theirs.len() && ours.iter().all(|reward| reward.is_finite()));
        let worst = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{ours:?} for {theirs:?}");

        let (better, worse) = (rewards.narrow(0, 0, 2).unwrap(), rewards.narrow(0, 1, 2).unwrap());
        let loss = bradley_terry(&better, &worse).unwrap().sum_all().unwrap();
        let value = f64::from(loss.to_scalar::<f32>().unwrap());
        assert!((value - expected["loss"].as_f64().unwrap()).abs() < 1e-4);
        loss.backward().unwrap();
        let norms = expected["grad_norms"].as_object().unwrap();
        assert_eq!(norms.len(), params.len());
        let mut worst_norm = 0f64;
        for (name, param) in params.iter() {
            let grad = param.grad_buffer().unwrap().get().unwrap_or_else(|| panic!("{name} has no gradient"));
            let norm = f64::from(grad.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()).sqrt();
            let expected = norms[name].as_f64().unwrap();
            let error = (norm - expected).abs() / expected;
            assert!(error < 1e-3, "{name}: {norm} is not {expected}");
            worst_norm = worst_norm.max(error);
        }
        println!("{}: rewards {worst:.1e}, gradient norms {worst_norm:.1e} apart", dir.path().display());
    }
}

#[test]
fn a_shared_prompt_changes_no_reward() {
    let (head, params) = language_model().load_reward_model(Some(MLP), 3, &CPU).unwrap();
    let model = RewardModel::new(language_model().decoder_config(), head, &params).unwrap();
    let answers: [&[u32]; 3] = [&[20, 21, 22, 2], &[30, 2], &[2]];
    let (mut shared, mut apart) = (Packed::default(), Packed::default());
    shared.push_completions(&[5, 6, 7], &answers);
    answers.iter().for_each(|answer| apart.push_completions(&[5, 6, 7], &[answer]));
    let rewards = |packed: &Packed| model.rewards(packed).unwrap().to_vec1::<f32>().unwrap();
    let (shared, apart) = (rewards(&shared), rewards(&apart));
    assert!(shared.iter().zip(&apart).all(|(a, b)| (a - b).abs() < 1e-5), "{shared:?} is not {apart:?}");
    assert!(shared[0] != shared[1] && shared[1] != shared[2]);
    assert!(model.rewards(&Packed::default()).is_err());
}

/// Saves an untrained reward model from the language model, with a tokenizer that pads with its EOS.
fn saved(head: RewardHead) -> (tempfile::TempDir, Params) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("lm")).unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(language_model().path().join(name), dir.path().join("lm").join(name)).unwrap();
    }
    let tokenizer = json!({ "eos_token": "</s>", "pad_token": { "content": "</s>" } });
    fs::write(dir.path().join("lm/tokenizer_config.json"), tokenizer.to_string()).unwrap();
    let model = ModelDir::open(&dir.path().join("lm")).unwrap();
    let (head, params) = model.load_reward_model(Some(head), 7, &CPU).unwrap();
    let pad = PadToken { text: "<unk>".to_owned(), id: 3 };
    fs::create_dir(dir.path().join("rm")).unwrap();
    model.as_reward_model(head, pad).save(&params, &dir.path().join("rm")).unwrap();
    (dir, params)
}

#[test]
fn what_is_saved_is_a_classifier_of_one_label_and_loads_again() {
    for head in [LINEAR, MLP] {
        let (dir, weights) = saved(head);
        let path = dir.path().join("rm");
        let config = read_json(&path.join("config.json"));
        assert_eq!(config["architectures"], json!(["LlamaForSequenceClassification"]));
        assert_eq!((&config["pad_token_id"], &config["id2label"]), (&json!(3), &json!({ "0": "LABEL_0" })));
        let tokenizer = read_json(&path.join("tokenizer_config.json"));
        assert_eq!(tokenizer, json!({ "eos_token": "</s>", "pad_token": "<unk>" }));

        let again = ModelDir::open(&path).unwrap();
        assert_eq!(again.reward_head().unwrap(), Some(head));
        let (found, reloaded) = again.load_reward_model(None, 0, &CPU).unwrap();
        assert_eq!(found, head);
        let values = |params: &Params| {
            let all = params.iter().map(|(name, param)| (name.to_owned(), param.tensor().clone()));
            let values = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            all.map(|(name, tensor)| (name, values(tensor))).collect::<Vec<_>>()
        };
        assert!(values(&reloaded) == values(&weights) && weights.get("lm_head.weight").is_none());
        let complaint = again.load(&CPU).unwrap_err().to_string();
        assert!(complaint.contains("is a reward model with"), "{complaint}");
    }
}

#[test]
fn an_untrained_head_is_its_seeds_and_as_wide_as_it_should_be() {
    let deviation = |head: RewardHead, seed: u64, name: &str| {
        let weights = head.random_weights(language_model().decoder_config(), seed, &CPU).unwrap();
        let values = weights[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        (values.iter().map(|value| f64::from(value * value)).sum::<f64>() / values.len() as f64).sqrt()
    };
    assert_eq!(deviation(MLP, 1, "score.weight"), deviation(MLP, 1, "score.weight"));
    assert_ne!(deviation(MLP, 1, "score.weight"), deviation(MLP, 2, "score.weight"));
    assert_eq!(deviation(MLP, 1, "score.bias"), 0.0);
    let wide = RewardHead::Mlp { hidden_size: 4096 };
    let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.05, "{found}");
    near(deviation(wide, 1, "score.weight"), (2.0f64 / (32.0 + 4096.0)).sqrt());
    near(deviation(wide, 1, "score.out.weight"), (2.0f64 / 4096.0).sqrt());
}

/// The complaint about the saved model after a change to its files.
fn complaint(head: RewardHead, asked: Option<RewardHead>, change: impl Fn(&mut Value)) -> String {
    let (dir, _weights) = saved(head);
    let path = dir.path().join("rm");
    let mut config = read_json(&path.join("config.json"));
    change(&mut config);
    fs::write(path.join("config.json"), config.to_string()).unwrap();
    ModelDir::open(&path).unwrap().load_reward_model(asked, 0, &CPU).unwrap_err().to_string()
}

#[test]
fn a_head_that_does_not_fit_is_refused() {
    let says = |found: String, fragment: &str| assert!(found.contains(fragment), "{found}");
    let none = |_: &mut Value| {};
    says(complaint(MLP, Some(LINEAR), none), "has an mlp head of hidden size 16, expected a linear head");
    says(complaint(LINEAR, Some(MLP), none), "has a linear head, expected an mlp head of hidden size 16");
    let narrow = RewardHead::Mlp { hidden_size: 8 };
    says(complaint(MLP, Some(narrow), none), "of hidden size 16, expected an mlp head of hidden size 8");
    says(
        complaint(MLP, None, |config| config["reward_head"]["hidden_size"] = json!(8)),
        "tensor `score.weight`: expected shape [8, 32] by config.json, found [16, 32]",
    );
    says(
        complaint(MLP, None, |config| config["reward_head"] = json!("wide")),
        "`reward_head`: expected {\"type\": \"mlp\", \"hidden_size\": N} with N from 1 to 4194304, found \"wide\"",
    );
    says(
        complaint(MLP, None, |config| drop(config.as_object_mut().unwrap().remove("reward_head"))),
        "3 tensor(s) that config.json does not account for, such as `score.bias`",
    );
    says(
        complaint(LINEAR, None, |config| config["id2label"] = json!({ "0": "a", "1": "b", "2": "c" })),
        "is a classifier of 3 labels; a reward model has one",
    );
    says(
        complaint(LINEAR, None, |config| drop(config.as_object_mut().unwrap().remove("id2label"))),
        "is a classifier of 2 labels",
    );
}
