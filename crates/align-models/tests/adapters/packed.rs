//! Models written in blocks of few bits, against what bitsandbytes writes.

use std::collections::BTreeMap;
use std::path::Path;

use align_kernels::FourBitKind;
use align_models::{ModelDir, Quantisation, SavedDtype, SavedFormat};
use serde_json::Value;

use crate::{CPU, SHIPPED, goldens, logits};

type Tensors = BTreeMap<String, (String, Vec<usize>, Vec<u8>)>;

fn tensors(dir: &Path) -> Tensors {
    let mut all = Tensors::new();
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|it| it == "safetensors")) {
        let bytes = std::fs::read(path).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        all.extend(file.tensors().into_iter().map(|(name, it)| {
            (name, (format!("{:?}", it.dtype()), it.shape().to_vec(), it.data().to_vec()))
        }));
    }
    all
}

fn json(dir: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(dir.join("config.json")).unwrap()).unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// What torch takes off all scales is their mean, which it sums in an order that depends on the machine.
fn near(found: &[f32], expected: &[f32]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 2e-7 * b.abs().max(1.0))
}

/// The same text but for the last digits of the mean.
fn near_state(found: &[u8], expected: &[u8]) -> bool {
    let split = |state: &[u8]| {
        let text = std::str::from_utf8(state).unwrap().to_owned();
        let (rest, offset) = text.split_once("\"nested_offset\": ").unwrap();
        (rest.to_owned(), offset.trim_end_matches('}').parse::<f32>().unwrap())
    };
    let ((rest, offset), (expected_rest, expected)) = (split(found), split(expected));
    rest == expected_rest && near(&[offset], &[expected])
}

/// A golden model written so; read again, it is what quantising it while it is loaded makes of it.
fn saved(name: &str, how: Quantisation, max_shard_bytes: u64) -> tempfile::TempDir {
    let dir = ModelDir::open(&Path::new(SHIPPED).join("models").join(name)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let format = SavedFormat { dtype: SavedDtype::Float32, quantise: Some(how), max_shard_bytes };
    dir.save_as(&dir.model(&CPU).unwrap().params, place.path(), &format).unwrap();
    let packed = goldens()[0].packed();
    let says = |dir: &ModelDir| logits(&dir.model(&CPU).unwrap().causal_lm().unwrap(), &packed);
    let again = ModelDir::open(place.path()).unwrap();
    assert_eq!(says(&again), says(&dir.quantised(how)), "{name}");
    place
}

#[test]
fn what_is_written_is_what_bitsandbytes_writes() {
    let nf4 = Quantisation::FourBit { kind: FourBitKind::Nf4, double: true };
    for (golden, model, how) in [("nf4", "phi3", nf4), ("int8", "llama", Quantisation::Int8)] {
        let theirs = Path::new(SHIPPED).join("adapters").join(golden).join("base");
        let ours = saved(model, how, u64::MAX);
        let (found, expected) = (tensors(ours.path()), tensors(&theirs));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, tensor) in &found {
            let same = match name.rsplit('.').next().unwrap() {
                "nested_absmax" => near(&floats(&tensor.2), &floats(&expected[name].2)),
                "bitsandbytes__nf4" => near_state(&tensor.2, &expected[name].2),
                _ => tensor == &expected[name],
            };
            assert!(same, "{golden}: {name}: {:?}", (&tensor.0, &tensor.1));
        }
        assert_eq!(json(ours.path())["quantization_config"], json(&theirs)["quantization_config"]);
        // In several files.
        let sharded = saved(model, how, 20_000);
        assert!(sharded.path().join("model.safetensors.index.json").exists());
        assert!(tensors(sharded.path()) == found);
    }
    saved("qwen3", Quantisation::FourBit { kind: FourBitKind::Fp4, double: false }, u64::MAX);
}
