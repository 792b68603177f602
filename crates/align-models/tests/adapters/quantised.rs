//! Bases in blocks of few bits: as bitsandbytes saved them, and made on loading.

use std::path::{Path, PathBuf};

use align_kernels::FourBitKind;
use align_models::{LoraConfig, ModelDir, Quantisation};
use serde_json::Value;

use crate::{CPU, SHIPPED};

const ALL: [Quantisation; 5] = [
    Quantisation::FourBit { kind: FourBitKind::Nf4, double: false },
    Quantisation::FourBit { kind: FourBitKind::Nf4, double: true },
    Quantisation::FourBit { kind: FourBitKind::Fp4, double: false },
    Quantisation::FourBit { kind: FourBitKind::Fp4, double: true },
    Quantisation::Int8,
];

fn base(name: &str) -> PathBuf {
    Path::new(SHIPPED).join("adapters").join(name).join("base")
}

#[test]
fn what_is_made_on_loading_is_what_bitsandbytes_saved() {
    for (name, model, how) in [("nf4", "phi3", ALL[1]), ("int8", "llama", ALL[4])] {
        let saved = ModelDir::open(&base(name)).unwrap().load(&CPU).unwrap();
        let made = ModelDir::open(&Path::new(SHIPPED).join("models").join(model)).unwrap();
        let made = made.quantised(how).load(&CPU).unwrap();
        assert_eq!(saved.blocks().len(), 14, "seven layers of products, twice");
        for ((name, saved), (other, made)) in saved.blocks().zip(made.blocks()) {
            let values = |it: &dyn align_kernels::Blocks| {
                it.dense(&CPU).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            let (saved, made) = (values(&**saved), values(&**made));
            let largest = saved.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let apart = saved.iter().zip(&made).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // The mean of the scales is summed in another order.
            assert!(name == other && apart <= 2e-7 * largest, "{name}: {apart:e}");
        }
    }
}

#[test]
fn a_quantised_model_is_held_in_few_bytes_and_only_adapters_are_trained() {
    for how in ALL {
        let dir = ModelDir::open(&Path::new(SHIPPED).join("models/llama")).unwrap().quantised(how);
        let params = dir.load(&CPU).unwrap();
        let (whole, few): (usize, usize) = params
            .blocks()
            .map(|(_, it)| (4 * it.shape().0 * it.shape().1, it.bytes()))
            .fold((0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        // So small are the weights that what second scales are counted in shows.
        let most = if how == Quantisation::Int8 { 0.3 } else { 0.4 };
        assert!(params.blocks().len() == 14 && (few as f64) < most * whole as f64, "{few} of {whole}");
        let embedding = params.weight("model.embed_tokens.weight").unwrap();
        assert!(embedding.param().is_some() && params.get("model.norm.weight").is_some());
        let problem = dir.trainable(0, &CPU).map(drop).unwrap_err().to_string();
        assert!(problem.contains("an adapter over them can"), "{problem}");
        let adapted =
            dir.with_new_adapter(&LoraConfig { r: 4, ..LoraConfig::default() }, "base", None).unwrap();
        let (trained, start) = adapted.trainable(0, &CPU).unwrap();
        let of =
            |(name, param): (&str, &align_kernels::Param)| (name.to_owned(), param.tensor().dims().to_vec());
        let tracked = trained.iter().filter(|(_, param)| param.is_tracked()).map(of).collect::<Vec<_>>();
        let mut expected = adapted.trained_shapes(None).unwrap();
        expected.sort();
        assert_eq!(expected, tracked);
        assert_eq!((trained.blocks().len(), start.params.blocks().len()), (14, 14));
        assert!(trained.iter().filter(|(_, param)| param.is_tracked()).count() == 28);
    }
}

#[test]
fn what_weights_will_take_is_known_before_they_are_read() {
    let llama = || ModelDir::open(&Path::new(SHIPPED).join("models/llama")).unwrap();
    let saved = ["nf4", "int8"].map(|name| ModelDir::open(&base(name)).unwrap());
    for dir in ALL.map(|how| llama().quantised(how)).into_iter().chain([llama()]).chain(saved) {
        let (expected, params) = (dir.weight_bytes().unwrap(), dir.load(&CPU).unwrap());
        let numbers: usize = params.iter().map(|(_, param)| 4 * param.tensor().elem_count()).sum();
        let blocks: usize = params.blocks().map(|(_, it)| it.bytes()).sum();
        assert_eq!(expected.numbers, numbers as u64);
        // What codes stand for, and how blocks are laid out, is beside them in a file.
        let apart = expected.blocks.abs_diff(blocks as u64);
        assert!(apart <= 14 * 1200, "{} expected, {blocks} held", expected.blocks);
    }
}

/// A copy of a quantised model with something else in it.
fn damaged(name: &str, change: impl Fn(&mut std::collections::HashMap<String, Tensor>)) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(base(name).join("config.json"), dir.path().join("config.json")).unwrap();
    let bytes = std::fs::read(base(name).join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, it): (String, safetensors::tensor::TensorView<'_>)| {
        (name, Tensor { dtype: it.dtype(), shape: it.shape().to_vec(), data: it.data().to_vec() })
    };
    let mut tensors = file.tensors().into_iter().map(tensor).collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, it)| {
        let view = safetensors::tensor::TensorView::new(it.dtype, it.shape.clone(), &it.data).unwrap();
        (name.clone(), view)
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
    let loaded = ModelDir::open(dir.path()).and_then(|dir| dir.load(&CPU).map(drop));
    loaded.err().map(|error| error.to_string()).unwrap_or_default()
}

struct Tensor {
    dtype: safetensors::Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

#[test]
fn blocks_that_do_not_fit_together_are_said() {
    const QKV: &str = "model.layers.0.self_attn.qkv_proj.weight";
    const Q: &str = "model.layers.0.self_attn.q_proj";
    let part = |part: &str| format!("{QKV}.{part}");
    assert_eq!((damaged("nf4", |_| {}), damaged("int8", |_| {})), (String::new(), String::new()));
    let without = |name: &str| damaged("nf4", |all| drop(all.remove(&part(name))));
    assert!(without("quant_state.bitsandbytes__nf4").contains("has no `quant_state`"));
    assert!(without("absmax").contains("has no scales `absmax`"));
    assert!(without("nested_absmax").contains("nested_absmax"));
    assert!(without("nested_quant_map").contains("nested_quant_map"));
    let state = |field: &str, value: Value| {
        damaged("nf4", |all| {
            let it = all.get_mut(&part("quant_state.bitsandbytes__nf4")).unwrap();
            let mut json: Value = serde_json::from_slice(&it.data).unwrap();
            json[field] = value.clone();
            it.data = json.to_string().into_bytes();
            it.shape = vec![it.data.len()];
        })
    };
    assert!(state("blocksize", 48.into()).contains("expected blocks of"));
    assert!(state("blocksize", 128.into()).contains("scales"));
    assert!(state("quant_type", "fp4".into()).contains("expected nf4"));
    assert!(state("shape", serde_json::json!([32, 64])).contains("expected nf4 of (64, 32)"));
    assert!(state("nested_blocksize", Value::Null).contains("nested_blocksize"));
    assert!(state("nested_offset", Value::Null).contains("nested_offset"));
    let cut = damaged("nf4", |all| {
        let it = all.get_mut(QKV).unwrap();
        it.data.truncate(100);
        it.shape = vec![100, 1];
    });
    assert!(cut.contains("found 100"), "{cut}");
    let other = damaged("nf4", |all| all.get_mut(&part("quant_map")).unwrap().data[1] ^= 255);
    assert!(other.contains("expected the codes of nf4"), "{other}");
    assert!(damaged("int8", |all| drop(all.remove(&format!("{Q}.SCB")))).contains("has no scales"));
    let strange = damaged("int8", |all| {
        let it = all.remove(&format!("{Q}.SCB")).unwrap();
        all.insert("model.layers.0.self_attn.q_proj.CSB".to_owned(), it);
    });
    assert!(strange.contains("does not account for"), "{strange}");
}

#[test]
fn an_adapter_knows_how_its_base_was_quantised() {
    let llama = Path::new(SHIPPED).join("models/llama");
    let config = LoraConfig { r: 4, ..LoraConfig::default() };
    let name = llama.canonicalize().unwrap().display().to_string();
    for how in ALL {
        let dir = tempfile::tempdir().unwrap();
        let new =
            ModelDir::open(&llama).unwrap().quantised(how).with_new_adapter(&config, &name, None).unwrap();
        let (params, _) = new.trainable(0, &CPU).unwrap();
        new.save(&params, dir.path()).unwrap();
        let again = ModelDir::open(dir.path()).unwrap().model(&CPU).unwrap().params;
        let content = |params: &align_kernels::Params| {
            let mut bytes = Vec::new();
            params.blocks().for_each(|(_, blocks)| blocks.content(&mut |some| bytes.extend_from_slice(some)));
            bytes
        };
        assert!(again.blocks().len() == 14 && content(&again) == content(&params), "{how:?}");
    }
}

#[test]
fn what_is_in_blocks_already_is_not_quantised_again() {
    let small = Path::new(SHIPPED).join("gguf/sentencepiece.gguf");
    let numbers = ModelDir::open(&small).unwrap().quantised(ALL[0]).load(&CPU).unwrap();
    assert_eq!(numbers.blocks().len(), 14);
    let saved = ModelDir::open(&base("nf4")).unwrap().quantised(ALL[4]).load(&CPU).unwrap_err().to_string();
    assert!(saved.contains("is quantised already; leave out `--load-in-4bit`"), "{saved}");
}
