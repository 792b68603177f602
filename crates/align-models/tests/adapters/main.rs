//! Adapters against PEFT, on every one of `fixtures/golden/adapters` (or of the folder that `ALIGN_GOLDEN_ADAPTERS` names): what
//! is computed, its gradients, and that what is written is what was read.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it fails and reports what it ran"
)]

mod merged;
mod packed;
mod pissa;
mod quantised;
mod refused;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use align_kernels::Params;
use align_models::{CausalLm, LoraConfig, ModelDir, Packed, RewardModel};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

const CPU: Device = Device::Cpu;
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden");
const NAMES: [&str; 20] = [
    "dora",
    "dora-biases",
    "embedding",
    "embedding-scaled",
    "fused",
    "fused-dora",
    "fused-whole",
    "head-tied",
    "int8",
    "layers",
    "lora",
    "lora-bias",
    "nf4",
    "patterns",
    "regex",
    "reward",
    "rslora",
    "tokens",
    "tokens-tied",
    "whole",
];

struct Golden {
    name: String,
    path: PathBuf,
    dir: ModelDir,
    expected: Value,
    tensors: HashMap<String, Tensor>,
    sequences: Vec<Vec<u32>>,
}

fn goldens() -> Vec<Golden> {
    let own = std::env::var_os("ALIGN_GOLDEN_ADAPTERS").map(PathBuf::from);
    let folder = own.clone().unwrap_or_else(|| Path::new(SHIPPED).join("adapters"));
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let paths = paths.into_iter().filter(|path| path.join("adapter_config.json").is_file());
    let goldens: Vec<_> = paths.map(golden).collect();
    let names: Vec<_> = goldens.iter().map(|golden| golden.name.as_str()).collect();
    println!("{}: {names:?}", folder.display());
    match own {
        None => assert_eq!(names, NAMES),
        Some(_) => assert!(!names.is_empty()),
    }
    goldens
}

fn golden(path: PathBuf) -> Golden {
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let tensors = candle_core::safetensors::load(path.join("expected.safetensors"), &CPU).unwrap();
    let rows = |name: &str| tensors[name].to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
    let real = |(ids, mask): (Vec<u32>, Vec<u32>)| {
        ids.into_iter().zip(mask).filter(|pair| pair.1 == 1).map(|pair| pair.0).collect()
    };
    Golden {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        dir: ModelDir::open(&path).unwrap(),
        expected: serde_json::from_str(&read("expected.json")).unwrap(),
        sequences: rows("input_ids").into_iter().zip(rows("attention_mask")).map(real).collect(),
        tensors,
        path,
    }
}

impl Golden {
    fn is_reward(&self) -> bool {
        self.tensors.contains_key("rewards")
    }

    /// All sequences in one stream, every token but the first a label.
    fn packed(&self) -> Packed {
        let mut packed = Packed::default();
        for tokens in &self.sequences {
            if self.is_reward() {
                packed.push_completions(&tokens[..1], &[&tokens[1..]]);
            } else {
                packed.push_sequence(tokens, &vec![true; tokens.len()]);
            }
        }
        packed
    }

    /// The largest difference of log-probs, and of logits where they are kept.
    fn apart(&self, model: &CausalLm) -> f32 {
        let packed = self.packed();
        let mut apart = 0f32;
        if let Some(theirs) = self.tensors.get("logits") {
            apart = apart.max(worst(&logits(model, &packed), &self.unpadded(theirs)));
        }
        if let Some(theirs) = self.tensors.get("logprobs") {
            let ours = model.token_log_probs(&packed).unwrap().to_vec1::<f32>().unwrap();
            let theirs = theirs.to_vec2::<f32>().unwrap();
            let rows = self.sequences.iter().zip(&theirs);
            let theirs: Vec<f32> = rows.flat_map(|(tokens, row)| row[..tokens.len() - 1].to_vec()).collect();
            apart = apart.max(worst(&ours, &theirs));
        }
        apart
    }

    /// Values of the rows without their padding.
    fn unpadded(&self, logits: &Tensor) -> Vec<f32> {
        let logits = logits.to_vec3::<f32>().unwrap();
        let rows = self.sequences.iter().zip(&logits);
        rows.flat_map(|(tokens, logits)| logits[..tokens.len()].concat()).collect()
    }

    fn trainable(&self) -> (Params, Tensor) {
        let packed = self.packed();
        if self.is_reward() {
            let (head, params) = self.dir.trainable_reward_model(None, 0, &CPU).unwrap();
            let model = RewardModel::new(self.dir.decoder_config(), head, &params).unwrap();
            let rewards = model.rewards(&packed).unwrap();
            let margin = |a: usize, b: usize| (rewards.get(a).unwrap() - rewards.get(b).unwrap()).unwrap();
            let loss = |x: Tensor| (x.neg().unwrap().exp().unwrap() + 1.0).unwrap().log().unwrap();
            return (params, (loss(margin(0, 1)) + loss(margin(1, 2))).unwrap());
        }
        let (params, _) = self.dir.trainable(0, &CPU).unwrap();
        let model = CausalLm::new(self.dir.decoder_config(), &params).unwrap();
        (params, model.token_log_probs(&packed).unwrap().mean_all().unwrap().neg().unwrap())
    }
}

fn logits(model: &CausalLm, packed: &Packed) -> Vec<f32> {
    let rows: Vec<u32> = (0..packed.stream.tokens.len() as u32).collect();
    let hidden = model.decoder().hidden(&packed.stream, &rows).unwrap();
    model.next_token_logits(&hidden, 1.0).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn worst(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_and_rewards_are_those_of_peft() {
    for golden in goldens() {
        let packed = golden.packed();
        if golden.is_reward() {
            let (head, params) = golden.dir.load_reward_model(None, 0, &CPU).unwrap();
            let model = RewardModel::new(golden.dir.decoder_config(), head, &params).unwrap();
            let rewards = model.rewards(&packed).unwrap().to_vec1::<f32>().unwrap();
            let worst = worst(&rewards, &golden.tensors["rewards"].to_vec1::<f32>().unwrap());
            println!("{}: worst reward difference {worst:.1e}", golden.name);
            assert!(worst < 1e-5);
            continue;
        }
        let with = golden.apart(&golden.dir.model(&CPU).unwrap().causal_lm().unwrap());
        // With the adapter off it is the model, which has computed the same rows.
        let params = golden.dir.load(&CPU).unwrap();
        golden.check_blocks(&params);
        let without = golden.base_logits().map(|theirs| {
            let off = CausalLm::new(&golden.base(), &params).unwrap();
            worst(&logits(&off, &packed), &golden.unpadded(&theirs))
        });
        println!("{}: with the adapter {with:.1e} apart, with it off {without:?}", golden.name);
        assert!(with < 1e-4 && without.is_none_or(|it| it < 1e-4));
    }
}

impl Golden {
    fn base(&self) -> align_models::DecoderConfig {
        ModelDir::open(&self.base_path()).unwrap().decoder_config().clone()
    }

    /// What the model computes without the adapter, where that was recorded: beside the adapter's, or with the base.
    fn base_logits(&self) -> Option<Tensor> {
        let base = self.base_path().join("expected.safetensors");
        let of_base = || candle_core::safetensors::load(base, &CPU).ok()?.remove("logits");
        self.tensors.get("base_logits").cloned().or_else(of_base)
    }

    /// Compares blocks with the numbers that they were found to stand for, to the bit, where those were recorded.
    fn check_blocks(&self, params: &Params) {
        let bits = |it: &Tensor| -> Vec<u32> {
            let values = it.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            values.into_iter().map(f32::to_bits).collect()
        };
        for (name, blocks) in params.blocks() {
            let Some(theirs) = self.tensors.get(&format!("dequantized.{name}")) else { continue };
            if !blocks.shape().1.is_multiple_of(64) {
                // bitsandbytes 0.50.2 on a CPU gives such rows the scales of other blocks than its quantisation, its
                // generic form and its CUDA kernel.
                println!("{} {name}: rows of {} weights are not whole blocks", self.name, blocks.shape().1);
                continue;
            }
            assert!(bits(&blocks.dense(&CPU).unwrap()) == bits(theirs), "{} {name}", self.name);
            println!("{} {name}: the same bits", self.name);
        }
    }

    fn base_path(&self) -> PathBuf {
        let settings = std::fs::read_to_string(self.path.join("adapter_config.json")).unwrap();
        let settings: Value = serde_json::from_str(&settings).unwrap();
        self.path.join(settings["base_model_name_or_path"].as_str().unwrap())
    }
}

/// The name in the file of a parameter of torch.
fn on_disk(name: &str) -> String {
    let name = name.replace(".modules_to_save.default", "").replace(".default", "");
    match name.strip_suffix(".weight") {
        Some(bare) if name.contains("magnitude") => bare.to_owned(),
        _ => name,
    }
}

#[test]
fn loss_and_gradient_norms_are_those_of_torch() {
    for golden in goldens() {
        let (params, loss) = golden.trainable();
        loss.backward().unwrap();
        let loss = f64::from(loss.to_scalar::<f32>().unwrap());
        assert!((loss - golden.expected["loss"].as_f64().unwrap()).abs() < 1e-4, "{}: {loss}", golden.name);
        // What is saved is what is trained, and under the name that it has there.
        let mut squares: BTreeMap<String, f64> = BTreeMap::new();
        for stored in golden.dir.layout().unwrap() {
            for (part, _) in stored.places() {
                let grad = params.require(part).unwrap().grad_buffer().expect(part).get().expect(part);
                let square = grad.to_dtype(DType::F64).unwrap().sqr().unwrap().sum_all().unwrap();
                *squares.entry(stored.name.clone()).or_default() += square.to_scalar::<f64>().unwrap();
            }
        }
        let norms = golden.expected["grad_norms"].as_object().unwrap();
        let norms: BTreeMap<String, f64> =
            norms.iter().map(|(name, norm)| (on_disk(name), norm.as_f64().unwrap())).collect();
        assert_eq!(norms.keys().collect::<Vec<_>>(), squares.keys().collect::<Vec<_>>(), "{}", golden.name);
        let mut worst = 0f64;
        for (name, norm) in norms {
            let found = squares[&name].sqrt();
            let error = ((found - norm).abs() - 1e-6).max(0.0) / norm.max(1e-9);
            assert!(error < 1e-3, "{} {name}: {found} is not {norm}", golden.name);
            worst = worst.max(error);
        }
        println!("{}: worst relative difference of a gradient norm {worst:.1e}", golden.name);
        let trained = params.iter().filter(|(_, param)| param.is_tracked()).count();
        let parts = golden.dir.layout().unwrap().iter().map(|stored| stored.params.len()).sum::<usize>();
        assert_eq!(trained, parts, "{}: what is trained is what is saved", golden.name);
    }
}

#[test]
fn what_was_read_is_written_to_the_byte() {
    for golden in goldens() {
        let (params, _) = golden.trainable();
        let saved = tempfile::tempdir().unwrap();
        golden.dir.save(&params, saved.path()).unwrap();
        let tensors = |dir: &Path| {
            let bytes = std::fs::read(dir.join("adapter_model.safetensors")).unwrap();
            let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            let all = file.tensors().into_iter();
            all.map(|(name, it)| (name, it.dtype(), it.shape().to_vec(), it.data().to_vec()))
                .map(|(name, dtype, shape, data)| (name, (format!("{dtype:?}"), shape, data)))
                .collect::<BTreeMap<_, _>>()
        };
        // What PEFT copies of the base beside adapters of embedding and head is checked, and not written again.
        let mut theirs = tensors(&golden.path);
        theirs.retain(|name, _| !name.ends_with(".base_layer.weight"));
        assert!(theirs == tensors(saved.path()), "{}", golden.name);
        let settings = |dir: &Path| {
            let text = std::fs::read_to_string(dir.join("adapter_config.json")).unwrap();
            let mut json: Value = serde_json::from_str(&text).unwrap();
            for field in ["target_modules", "modules_to_save"] {
                if let Some(list) = json[field].as_array_mut() {
                    list.sort_by_key(ToString::to_string);
                }
            }
            json
        };
        assert_eq!(settings(&golden.path), settings(saved.path()), "{}", golden.name);
        assert!(!saved.path().join("config.json").exists());
    }
}

#[test]
fn a_new_adapter_changes_nothing_at_first() {
    let dir = || ModelDir::open(&Path::new(SHIPPED).join("models/phi3")).unwrap();
    let mut packed = Packed::default();
    packed.push_sequence(&[5, 9, 17, 40, 3, 77], &[true; 6]);
    let before = logits(&dir().model(&CPU).unwrap().causal_lm().unwrap(), &packed);
    for use_dora in [false, true] {
        let config = LoraConfig { r: 4, use_dora, ..LoraConfig::default() };
        let adapted = dir().with_new_adapter(&config, "base", None).unwrap();
        let (params, start) = adapted.trainable(7, &CPU).unwrap();
        let model = CausalLm::new(adapted.decoder_config(), &params).unwrap();
        assert!(worst(&logits(&model, &packed), &before) < 1e-5);
        assert_eq!(logits(&start.causal_lm().unwrap(), &packed), before, "the adapter off");
        // The base is held once.
        let name = "model.layers.0.self_attn.q_proj.weight";
        let of = |params: &Params| params.require(name).unwrap().tensor().id();
        assert!(!params.require(name).unwrap().is_tracked() && of(&params) == of(&start.params));
        // The same seed gives the same adapter, another one another.
        let a = |seed| {
            let (params, _) = adapted.trainable(seed, &CPU).unwrap();
            let a =
                params.require("model.layers.0.self_attn.qkv_proj.lora_A.weight").unwrap().tensor().detach();
            a.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert!(a(7) == a(7) && a(7) != a(8));
        let bound = 1.0 / 32f32.sqrt();
        assert!(a(7).iter().all(|x| x.abs() <= bound) && a(7).iter().any(|x| x.abs() > 0.9 * bound));
    }
}
