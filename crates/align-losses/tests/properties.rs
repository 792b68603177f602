//! Laws that hold for every input: symmetries, order, padding; and what the border refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use align_losses::{
    PairLogProbs, PreferenceLoss, cdpo, dpo, k1, k2, k3, label_log_probs, masked_mean,
    masked_sequence_log_probs, nll, sequence_log_probs, shift_mask, shifted_log_probs,
};
use candle_core::{DType, Device, Result, Tensor};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn tensor(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn model(chosen: &[f64], rejected: &[f64]) -> PairLogProbs {
    PairLogProbs { chosen: tensor(chosen), rejected: tensor(rejected) }
}

fn margins(loss: &PreferenceLoss) -> Vec<f64> {
    values(&(&loss.chosen_rewards - &loss.rejected_rewards).unwrap())
}

/// Per pair: policy chosen, policy rejected, reference chosen, reference rejected.
type Pair = (f64, f64, f64, f64);

fn pairs() -> impl Strategy<Value = Vec<Pair>> {
    let log_prob = || -300.0..0.0f64;
    prop::collection::vec((log_prob(), log_prob(), log_prob(), log_prob()), 1..8)
}

fn loss(pairs: &[Pair], flipped: bool) -> PreferenceLoss {
    let column = |pick: fn(&Pair) -> f64| pairs.iter().map(pick).collect::<Vec<_>>();
    let policy = (column(|p| p.0), column(|p| p.1));
    let reference = (column(|p| p.2), column(|p| p.3));
    if flipped {
        return dpo(&model(&policy.1, &policy.0), &model(&reference.1, &reference.0), 0.1).unwrap();
    }
    dpo(&model(&policy.0, &policy.1), &model(&reference.0, &reference.1), 0.1).unwrap()
}

proptest! {
    // The same cases in every run.
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn reordering_pairs_reorders_losses_and_changes_nothing_else(pairs in pairs(), turn in 0usize..8) {
        let mut turned = pairs.clone();
        turned.rotate_left(turn % pairs.len());
        let mut expected = values(&loss(&pairs, false).losses);
        expected.rotate_left(turn % pairs.len());
        prop_assert_eq!(values(&loss(&turned, false).losses), expected);
    }

    #[test]
    fn exchanging_chosen_and_rejected_negates_the_margin(pairs in pairs()) {
        let (straight, flipped) = (loss(&pairs, false), loss(&pairs, true));
        for (a, b) in margins(&straight).iter().zip(margins(&flipped)) {
            prop_assert_eq!(*a, -b);
        }
        // −log σ(z) − (−log σ(−z)) = −z
        let differences = values(&(&straight.losses - &flipped.losses).unwrap());
        for (difference, margin) in differences.iter().zip(margins(&straight)) {
            prop_assert!((difference + margin).abs() <= 1e-12 * margin.abs().max(1.0));
        }
    }

    #[test]
    fn cdpo_is_the_expected_dpo_under_flipped_labels(pairs in pairs(), smoothing in 0.0..0.499f64) {
        let column = |pick: fn(&Pair) -> f64| pairs.iter().map(pick).collect::<Vec<_>>();
        let policy = model(&column(|p| p.0), &column(|p| p.1));
        let reference = model(&column(|p| p.2), &column(|p| p.3));
        let conservative = values(&cdpo(&policy, &reference, 0.1, smoothing).unwrap().losses);
        let (straight, flipped) = (values(&loss(&pairs, false).losses), values(&loss(&pairs, true).losses));
        for i in 0..pairs.len() {
            let expected = (1.0 - smoothing) * straight[i] + smoothing * flipped[i];
            prop_assert!((conservative[i] - expected).abs() <= 1e-12 * expected.max(1.0));
        }
    }

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

#[test]
fn half_precision_is_computed_in_f32() {
    let pairs = |dtype| {
        let model = model(&[-9.0, -100.5], &[-10.0, -101.0]);
        PairLogProbs {
            chosen: model.chosen.to_dtype(dtype).unwrap(),
            rejected: model.rejected.to_dtype(dtype).unwrap(),
        }
    };
    let expected = dpo(&pairs(DType::F32), &pairs(DType::F32), 0.1).unwrap().losses;
    for dtype in [DType::F16, DType::BF16] {
        let half = dpo(&pairs(dtype), &pairs(DType::F64), 0.1).unwrap();
        assert_eq!((half.losses.dtype(), half.chosen_rewards.dtype()), (DType::F32, DType::F32));
        assert_eq!(values(&half.losses)[0], values(&expected)[0]);
    }
}

#[test]
fn a_refusal_says_what_was_expected_and_what_was_found() {
    let check = |result: Result<Tensor>, expected: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    };
    let (two, three) = (model(&[-1., -2.], &[-3., -4.]), model(&[-1., -2., -3.], &[-1., -2., -3.]));
    check(dpo(&two, &three, 0.1).map(|l| l.losses), "expected the reference's chosen log-probs [2], got [3]");
    check(dpo(&two, &two, 0.0).map(|l| l.losses), "expected beta to be a positive number, got 0");
    check(dpo(&two, &two, f64::NAN).map(|l| l.losses), "expected beta to be a positive number, got NaN");
    check(cdpo(&two, &two, 0.1, 0.5).map(|l| l.losses), "expected label_smoothing in [0, 0.5), got 0.5");
    let integers = PairLogProbs { chosen: Tensor::new(&[1u32, 2], &Device::Cpu).unwrap(), ..two.clone() };
    check(dpo(&integers, &two, 0.1).map(|l| l.losses), "of a floating type");
    let flat = tensor(&[-1., -2., -3.]);
    check(sequence_log_probs(&flat, &[0, 1], 2), "expected one sequence id per token [3], got 2");
    check(sequence_log_probs(&flat, &[0, 1, 2], 2), "expected sequence ids below 2, got 2");
    check(nll(&flat, &tensor(&[1., 0.])), "expected mask in the shape of the values [3], got [2]");
    check(masked_mean(&flat, &tensor(&[0., 0., 0.])), "counts at least one entry, got none");
    check(
        k3(&flat, &tensor(&[-1.])),
        "expected the reference's log-probs in the shape of the policy's [3], got [1]",
    );
    let logits = Tensor::zeros((1, 2, 5), DType::F32, &Device::Cpu).unwrap();
    let ids = |ids: [u32; 2]| Tensor::new(&[ids], &Device::Cpu).unwrap();
    check(label_log_probs(&logits, &tensor(&[1.])), "expected labels [1, 2] for logits [1, 2, 5], got [1]");
    check(label_log_probs(&logits, &ids([1, 2]).to_dtype(DType::F32).unwrap()), "expected integer labels");
    check(shifted_log_probs(&logits, &ids([1, 5])), "index");
    check(shifted_log_probs(&logits, &flat), "expected token ids [1, 2]");
    check(shift_mask(&Tensor::ones((3, 1), DType::U8, &Device::Cpu).unwrap()), "at least 2 tokens");
}
