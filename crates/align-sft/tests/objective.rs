//! The objective on a tiny golden model: what counts, and that it counts the same however it is cut.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;

use align_data::{Origin, TokenizedExample};
use align_kernels::Params;
use align_models::{CausalLm, ModelDir, Packed};
use align_sft::{ExampleBatch, LossType, Supervised};
use align_train::{Objective, Weights};
use candle_core::Device;

fn model() -> ModelDir {
    ModelDir::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/models/llama")).unwrap()
}

fn params() -> Params {
    model().load(&Device::Cpu).unwrap().tracked_copy().unwrap()
}

fn lm(params: &Params) -> CausalLm {
    CausalLm::new(model().decoder_config(), params).unwrap()
}

/// Examples of very different lengths, the first `context` tokens of each not learned.
fn examples() -> Vec<TokenizedExample> {
    let example = |row: usize, len: usize, context: usize| TokenizedExample {
        tokens: (0..len).map(|i| 5 + (row as u32 * 31 + i as u32 * 17) % 200).collect(),
        mask: (0..len).map(|i| i >= context).collect(),
        row,
        origin: Origin::in_code(row),
    };
    vec![example(0, 12, 9), example(1, 30, 4), example(2, 3, 0), example(3, 17, 16)]
}

/// Loss, entropy and every gradient of a window cut into micro-batches.
fn window(cut: &[&[usize]]) -> (f32, f64, Vec<f32>) {
    let params = params();
    let objective = Supervised::new(lm(&params), LossType::Nll);
    let batches: Vec<ExampleBatch> =
        cut.iter().map(|indices| ExampleBatch::new((&examples()).into(), indices).unwrap()).collect();
    let mut totals = Weights::default();
    batches.iter().for_each(|batch| totals.merge(&objective.weights(batch)));
    let (mut loss, mut metrics) = (0.0, align_train::Metrics::default());
    for batch in &batches {
        let share = objective.loss(batch, &totals).unwrap();
        drop(share.loss.backward().unwrap());
        let (of_batch, reported) = share.read().unwrap();
        loss += of_batch as f32;
        metrics.merge(&reported);
    }
    let grads = params.iter().flat_map(|(_, param)| {
        param.grad_buffer().unwrap().get().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
    });
    (loss, metrics.get("entropy").unwrap(), grads.collect())
}

#[test]
fn only_masked_tokens_count_and_each_counts_once() {
    let objective = Supervised::new(lm(&params()), LossType::Nll);
    let batch = ExampleBatch::new((&examples()).into(), &[0, 2]).unwrap();
    // Three learned tokens of the first, and two of the second: its first is predicted by nothing.
    assert_eq!(objective.weights(&batch).get("tokens"), 5.0);
    let step = objective.loss(&batch, &Weights::of("tokens", 5.0)).unwrap();

    let model = lm(&params());
    let log_probs = |index: usize, from: usize| {
        let mut packed = Packed::default();
        let tokens = examples()[index].tokens.clone();
        packed.push_sequence(&tokens, &vec![true; tokens.len()]);
        model.token_log_probs(&packed).unwrap().to_vec1::<f32>().unwrap()[from - 1..].iter().sum::<f32>()
    };
    let expected = -(log_probs(0, 9) + log_probs(2, 1)) / 5.0;
    assert!((step.loss.to_scalar::<f32>().unwrap() - expected).abs() < 1e-5);
}

#[test]
fn a_window_is_the_same_however_it_is_cut() {
    let (loss, entropy, grads) = window(&[&[0, 1, 2, 3]]);
    for cut in [&[&[0usize, 1][..], &[2, 3]][..], &[&[3], &[1], &[0], &[2]], &[&[1, 2, 0], &[3]]] {
        let (other_loss, other_entropy, other_grads) = window(cut);
        assert!((loss - other_loss).abs() < 1e-6 * loss, "{other_loss} is not {loss}");
        assert!((entropy - other_entropy).abs() < 1e-6);
        let worst = grads.iter().zip(&other_grads).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-6, "a gradient differs by {worst}");
    }
}
