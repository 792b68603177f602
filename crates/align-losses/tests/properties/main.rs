//! Laws that hold for every input: symmetries, order, padding; and what the border refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../gradients/table.rs"]
#[expect(dead_code, reason = "the corners in it that `gradients` avoids")]
mod table;

mod offline;
mod refusals;

use align_losses::{k1, k2, k3, masked_mean, masked_sequence_log_probs, nll, sequence_log_probs};
use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use table::tensor;

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// The same cases in every run.
fn fixed() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn padding_changes_nothing(
        rows in prop::collection::vec(prop::collection::vec(-20.0..0.0f64, 1..6), 1..5),
        padding in 0usize..4,
        filler in prop::sample::select(vec![0.0, -7.0, f64::NEG_INFINITY, f64::NAN]),
    ) {
        let width = rows.iter().map(Vec::len).max().unwrap() + padding;
        let mut padded = vec![filler; rows.len() * width];
        let mut mask = vec![0u32; rows.len() * width];
        let (mut packed, mut ids) = (Vec::new(), Vec::new());
        for (i, row) in rows.iter().enumerate() {
            for (t, &log_prob) in row.iter().enumerate() {
                (padded[i * width + t], mask[i * width + t]) = (log_prob, 1);
                packed.push(log_prob);
                ids.push(i as u32);
            }
        }
        let padded = tensor(&padded).reshape((rows.len(), width)).unwrap();
        let mask = Tensor::from_vec(mask, (rows.len(), width), &Device::Cpu).unwrap();
        let from_padded = values(&masked_sequence_log_probs(&padded, &mask).unwrap());
        let from_packed = values(&sequence_log_probs(&tensor(&packed), &ids, rows.len()).unwrap());
        for (a, b) in from_padded.iter().zip(&from_packed) {
            prop_assert!((a - b).abs() <= 1e-12 * b.abs());
        }
        let mean = masked_mean(&nll(&padded, &mask).unwrap(), &mask).unwrap().to_scalar::<f64>().unwrap();
        let expected = -packed.iter().sum::<f64>() / packed.len() as f64;
        prop_assert!((mean - expected).abs() <= 1e-12 * expected);
    }

    #[test]
    fn the_order_of_packed_tokens_decides_nothing_but_rounding(log_probs in prop::collection::vec(-9.0..0.0f64, 1..40)) {
        let ids: Vec<u32> = (0..log_probs.len()).map(|i| i as u32 % 3).collect();
        let straight = values(&sequence_log_probs(&tensor(&log_probs), &ids, 3).unwrap());
        let (backward, backward_ids): (Vec<f64>, Vec<u32>) = log_probs.iter().zip(&ids).rev().unzip();
        let reversed = values(&sequence_log_probs(&tensor(&backward), &backward_ids, 3).unwrap());
        for (a, b) in straight.iter().zip(&reversed) {
            prop_assert!((a - b).abs() <= 1e-12 * a.abs());
        }
    }

    #[test]
    fn k2_and_k3_are_never_negative_and_equal_models_are_at_zero(log_probs in prop::collection::vec((-30.0..0.0f64, -30.0..0.0f64), 1..20)) {
        for dtype in [DType::F64, DType::F32] {
            let (policy, reference): (Vec<f64>, Vec<f64>) = log_probs.iter().copied().unzip();
            let (policy, reference) = (tensor(&policy).to_dtype(dtype).unwrap(), tensor(&reference).to_dtype(dtype).unwrap());
            for estimator in [k2, k3] {
                prop_assert!(values(&estimator(&policy, &reference).unwrap()).iter().all(|&kl| kl >= 0.0));
            }
            for estimator in [k1, k2, k3] {
                prop_assert!(values(&estimator(&policy, &policy).unwrap()).iter().all(|&kl| kl == 0.0));
            }
        }
    }
}

#[test]
fn the_estimators_agree_to_third_order_when_the_models_are_close() {
    let (policy, reference) = (tensor(&[-2.0]), tensor(&[-2.0 + 1e-4]));
    let (second, third) = (k2(&policy, &reference).unwrap(), k3(&policy, &reference).unwrap());
    let difference = values(&(third - second).unwrap())[0];
    assert!((difference / (1e-12 / 6.0) - 1.0).abs() < 1e-3, "{difference:e}");
}

#[test]
fn sums_over_thousands_of_tokens_do_not_drift_in_f32() {
    let tokens = vec![-2.2f32; 4096];
    let sum =
        sequence_log_probs(&Tensor::new(tokens.as_slice(), &Device::Cpu).unwrap(), &[0; 4096], 1).unwrap();
    assert_eq!(sum.to_vec1::<f32>().unwrap(), [-2.2f32 * 4096.0]);
}
