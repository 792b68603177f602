//! A model with room for more tokens computes what it computed, and knows the new ones as the mean of the old.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use align_models::{CausalLm, ModelDir, Packed};
use candle_core::{Device, Tensor};

const CPU: Device = Device::Cpu;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/models").join(name)
}

fn logits(dir: &ModelDir) -> Tensor {
    let model = CausalLm::new(dir.decoder_config(), &dir.load(&CPU).unwrap()).unwrap();
    let mut packed = Packed::default();
    packed.push_sequence(&[5, 9, 200, 31], &[true; 4]);
    model.next_token_logits(&model.decoder().hidden(&packed.stream, &[0, 1, 2, 3]).unwrap(), 1.0).unwrap()
}

#[test]
fn old_tokens_keep_their_logits_and_new_ones_have_the_mean() {
    // With a head of its own, tied, and tied under scaled embeddings.
    for name in ["llama", "llama-tied", "gemma2"] {
        let dir = ModelDir::open(&golden(name)).unwrap();
        let larger = dir.with_vocabulary(260).unwrap();
        let (before, after) = (logits(&dir), logits(&larger));
        assert_eq!(after.dims(), [4, 260], "{name}");
        let same = |a: &Tensor, b: &Tensor| {
            let worst = (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
            worst.to_scalar::<f32>().unwrap() < 1e-5
        };
        assert!(same(&before, &after.narrow(1, 0, 256).unwrap()), "{name}");
        let weights = larger.load(&CPU).unwrap();
        let table = weights.require("model.embed_tokens.weight").unwrap().tensor();
        let mean = table.narrow(0, 0, 256).unwrap().mean_keepdim(0).unwrap();
        for row in 256..260 {
            assert!(same(&table.narrow(0, row, 1).unwrap(), &mean), "{name}");
        }
    }
}

#[test]
fn what_is_saved_has_the_new_size() {
    let larger = ModelDir::open(&golden("llama")).unwrap().with_vocabulary_if(true, 300).unwrap();
    let saved = tempfile::tempdir().unwrap();
    larger.save(&larger.load(&CPU).unwrap(), saved.path()).unwrap();
    let again = ModelDir::open(saved.path()).unwrap();
    assert_eq!(again.decoder_config().vocab, 300);
    let (a, b) = (logits(&larger).to_vec2::<f32>().unwrap(), logits(&again).to_vec2::<f32>().unwrap());
    assert_eq!(a, b);
}

#[test]
fn a_model_that_is_large_enough_is_left_alone() {
    let error = ModelDir::open(&golden("llama")).unwrap().with_vocabulary(256).unwrap_err().to_string();
    assert!(error.contains("rows for 256 tokens"), "{error}");
    let unasked = ModelDir::open(&golden("llama")).unwrap().with_vocabulary_if(false, 300).unwrap();
    assert_eq!(unasked.decoder_config().vocab, 256);
}
