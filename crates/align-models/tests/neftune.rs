//! NEFTune: heard in training passes, nowhere else, and the same in the same pass.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use align_kernels::Params;
use align_models::{CausalLm, ModelDir, Neftune, Packed};
use candle_core::Device;

const CPU: Device = Device::Cpu;

fn golden(name: &str) -> ModelDir {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/models");
    ModelDir::open(&models.join(name)).unwrap()
}

fn packed() -> Packed {
    let mut packed = Packed::default();
    packed.push_sequence(&[5, 9, 200, 31], &[true; 4]);
    packed.push_sequence(&[7, 3, 3, 90, 41, 6, 18, 2], &[true; 8]);
    packed
}

/// Log-probs of the labels in the pass of that number, or between passes.
fn log_probs(model: &ModelDir, params: &Params, neftune: Option<Neftune>, pass: Option<u64>) -> Vec<f32> {
    let policy = CausalLm::new(model.decoder_config(), params).unwrap().with_neftune(neftune);
    if let Some(pass) = pass {
        params.noise().begin(pass);
    }
    let log_probs = policy.token_log_probs(&packed());
    params.noise().end();
    log_probs.unwrap().to_vec1().unwrap()
}

#[test]
fn noise_is_heard_in_training_passes_alone() {
    for name in ["llama", "gemma2"] {
        let model = golden(name);
        let params = model.trainable(1, &CPU).unwrap().0;
        let neftune = |seed| Some(Neftune { alpha: 5.0, seed });
        let of = |neftune, pass| log_probs(&model, &params, neftune, pass);
        let plain = of(None, Some(3));
        assert_eq!(plain, of(neftune(1), None), "{name}: between passes");
        assert_eq!(plain, log_probs(&model, &params.view(), neftune(1), Some(3)), "{name}: a view");
        let noisy = of(neftune(1), Some(3));
        assert!(noisy.iter().all(|x| x.is_finite()) && noisy != plain, "{name}");
        assert_eq!(noisy, of(neftune(1), Some(3)), "{name}: the same pass");
        assert_ne!(noisy, of(neftune(1), Some(4)), "{name}: another pass");
        assert_ne!(noisy, of(neftune(2), Some(3)), "{name}: another seed");
        let quieter = of(Some(Neftune { alpha: 0.05, seed: 1 }), Some(3));
        let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart(&quieter, &plain) < apart(&noisy, &plain) / 10.0, "{name}: quieter noise");
    }
}

#[test]
fn embeddings_learn_through_the_noise() {
    let model = golden("llama");
    let params = model.trainable(1, &CPU).unwrap().0;
    let policy = CausalLm::new(model.decoder_config(), &params)
        .unwrap()
        .with_neftune(Some(Neftune { alpha: 5.0, seed: 1 }));
    params.noise().begin(0);
    let loss = policy.token_log_probs(&packed()).unwrap().sum_all().unwrap();
    loss.backward().unwrap();
    params.noise().end();
    let table = params.require("model.embed_tokens.weight").unwrap();
    let grad = table.grad_buffer().unwrap().get().unwrap();
    let row = |token: usize| grad.get(token).unwrap().abs().unwrap().sum_all().unwrap().to_scalar::<f32>();
    assert!(row(5).unwrap() > 0.0 && row(100).unwrap() == 0.0);
}
