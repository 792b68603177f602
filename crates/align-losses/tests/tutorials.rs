//! Worked examples of the kind that introductions to alignment show, with the numbers a reader would check.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use align_losses::{
    LogRatios, PairLogProbs, bradley_terry, cdpo, dpo, masked_sequence_log_probs, shift_mask,
    shifted_log_probs,
};
use align_testkit::{Tolerance, assert_close};
use candle_core::{D, Device, Tensor, Var};

const EXACT: Tolerance = Tolerance { relative: 1e-12, absolute: 1e-15 };

fn tensor(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[test]
fn a_policy_that_learned_to_avoid_one_answer_and_to_prefer_the_wrong_other() {
    let policy = PairLogProbs { chosen: tensor(&[-10.0, -10.0]), rejected: tensor(&[-15.0, -5.0]) };
    let reference = PairLogProbs { chosen: tensor(&[-10.0, -10.0]), rejected: tensor(&[-10.0, -10.0]) };
    let ratios = LogRatios::new(&policy, &reference).unwrap();
    let four_digits = Tolerance { relative: 0.0, absolute: 5e-5 };
    assert_close("losses", &dpo(&ratios, 0.5).unwrap(), &tensor(&[0.0789, 2.5789]), four_digits);
    let rewards = ratios.rewards(0.5).unwrap();
    assert_eq!(rewards.chosen.to_vec1::<f64>().unwrap(), [0.0, 0.0]);
    assert_eq!(rewards.rejected.to_vec1::<f64>().unwrap(), [-2.5, 2.5]);
}

/// Four pairs with label smoothing: the loss, the rates and rewards a trainer reports, and the gradients, all from
/// the definitions in plain numbers.
#[test]
fn the_metrics_of_a_batch() {
    let (beta, smoothing) = (0.2, 0.1);
    let (chosen, rejected) = ([-12.0, -20.0, -8.0, -31.0], [-14.0, -18.0, -8.5, -30.0]);
    let (reference_chosen, reference_rejected) = ([-13.0, -19.0, -8.0, -33.0], [-13.5, -18.5, -8.0, -29.0]);
    let margin =
        |i: usize| beta * ((chosen[i] - reference_chosen[i]) - (rejected[i] - reference_rejected[i]));
    let mean = |f: &dyn Fn(usize) -> f64| (0..4).map(f).sum::<f64>() / 4.0;

    let [a, b] = [chosen, rejected].map(|x| Var::from_tensor(&tensor(&x)).unwrap());
    let policy = PairLogProbs { chosen: a.as_tensor().clone(), rejected: b.as_tensor().clone() };
    let reference = PairLogProbs { chosen: tensor(&reference_chosen), rejected: tensor(&reference_rejected) };
    let ratios = LogRatios::new(&policy, &reference).unwrap();
    let loss = cdpo(&ratios, beta, smoothing).unwrap().mean_all().unwrap();
    let rewards = ratios.rewards(beta).unwrap();
    let margins = (&rewards.chosen - &rewards.rejected).unwrap();
    let check = |what: &str, found: &Tensor, expected: f64| {
        assert_close(what, found, &Tensor::new(expected, &Device::Cpu).unwrap(), EXACT);
    };
    let cross_entropy =
        |i: usize| -(1.0 - smoothing) * sigmoid(margin(i)).ln() - smoothing * (1.0 - sigmoid(margin(i))).ln();
    check("loss", &loss, mean(&cross_entropy));
    check(
        "chosen reward",
        &rewards.chosen.mean_all().unwrap(),
        mean(&|i| beta * (chosen[i] - reference_chosen[i])),
    );
    check(
        "rejected reward",
        &rewards.rejected.mean_all().unwrap(),
        mean(&|i| beta * (rejected[i] - reference_rejected[i])),
    );
    check("reward margin", &margins.mean_all().unwrap(), mean(&margin));
    let right = margins.gt(0f64).unwrap().to_dtype(candle_core::DType::F64).unwrap();
    // Margins 0.3, −0.3, 0.1 and 0.6: three of four.
    check("accuracy", &right.mean_all().unwrap(), 0.75);

    let grads = loss.backward().unwrap();
    let slopes: Vec<f64> = (0..4).map(|i| beta * (sigmoid(margin(i)) - (1.0 - smoothing)) / 4.0).collect();
    assert_close("gradient of the chosen", grads.get(&a).unwrap(), &tensor(&slopes), EXACT);
    assert_close("gradient of the rejected", grads.get(&b).unwrap(), &tensor(&slopes).neg().unwrap(), EXACT);
}

#[test]
fn a_reward_model_of_two_pairs() {
    let losses = bradley_terry(&tensor(&[2.0, -1.0]), &tensor(&[1.0, 1.0])).unwrap();
    assert_close("losses", &losses, &tensor(&[-sigmoid(1.0).ln(), -sigmoid(-2.0).ln()]), EXACT);
}

/// Logits that are logs of probabilities, so that the products can be checked by eye.
#[test]
fn log_probs_of_sequences_with_a_mask() {
    let distributions = [
        [[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.3, 0.3, 0.4]],
        [[0.7, 0.2, 0.1], [0.4, 0.4, 0.2], [0.9, 0.05, 0.05], [0.1, 0.1, 0.8]],
    ];
    let logits = Tensor::new(&distributions, &Device::Cpu).unwrap().log().unwrap();
    // Any constant per position leaves the probabilities what they are.
    let logits = logits.broadcast_add(&tensor(&[3.0, -40.0, 0.0, 7.0]).reshape((1, 4, 1)).unwrap()).unwrap();
    let tokens = Tensor::new(&[[0u32, 2, 1, 2], [1, 0, 2, 2]], &Device::Cpu).unwrap();
    // The first row ends in padding; the second has a prompt of one token.
    let mask = Tensor::new(&[[1u8, 1, 1, 0], [0, 1, 1, 1]], &Device::Cpu).unwrap();
    let log_probs = shifted_log_probs(&logits, &tokens).unwrap();
    let sums = masked_sequence_log_probs(&log_probs, &shift_mask(&mask).unwrap()).unwrap();
    // p(2 | 0)·p(1 | 0 2), and p(0 | 1)·p(2 | 1 0)·p(2 | 1 0 2).
    let expected = tensor(&[(0.25f64 * 0.8).ln(), (0.7f64 * 0.2 * 0.05).ln()]);
    assert_close("sequence log-probs", &sums, &expected, EXACT);
    let all = masked_sequence_log_probs(&log_probs, &log_probs.ones_like().unwrap()).unwrap();
    assert_close("without a mask", &all, &log_probs.sum(D::Minus1).unwrap(), EXACT);
}
