//! Mistakes that textbooks make, written out beside what is right; and worked examples.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use align_losses::{
    Clip, Gae, Sequences, clipped_value_loss, gae, k1, ppo_clip, seq_mean_token_mean, token_mean, whiten,
};
use candle_core::{DType, Device, Tensor, Var};

fn tensor(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }
}

/// Ratios below, inside and above the range, for a good and for a bad action.
const RATIOS: [f64; 6] = [0.5, 1.0, 2.0, 0.5, 1.0, 2.0];
const ADVANTAGES: [f64; 6] = [1.0, 1.0, 1.0, -1.0, -1.0, -1.0];

/// The gradient may vanish outside the range only where the clipped branch is the smaller one: a good action that
/// became too unlikely, and a bad one that became too likely, must still be moved back.
#[test]
fn the_clip_depends_on_the_sign_of_the_advantage() {
    let log_probs = Var::from_tensor(&tensor(&RATIOS).log().unwrap()).unwrap();
    let old = tensor(&[0.0; 6]);
    let surrogate = ppo_clip(&log_probs, &old, &tensor(&ADVANTAGES), Clip::symmetric(0.2)).unwrap();
    let grads = surrogate.losses.sum_all().unwrap().backward().unwrap();
    let found = values(grads.get(&log_probs).unwrap());
    close(&found, &[-0.5, -1.0, 0.0, 0.0, 1.0, 2.0]);
    close(&values(&surrogate.clipped_high), &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    close(&values(&surrogate.clipped_low), &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    let wrong: Vec<f64> = RATIOS
        .iter()
        .zip(ADVANTAGES)
        .map(|(ratio, advantage)| if (0.8..=1.2).contains(ratio) { -ratio * advantage } else { 0.0 })
        .collect();
    let differ: Vec<usize> = (0..6).filter(|&i| (found[i] - wrong[i]).abs() > 1e-9).collect();
    assert_eq!(differ, [0, 5], "the wrong formula forgets exactly the actions to be moved back");
}

#[test]
fn the_loss_is_the_pessimistic_one_of_both_branches() {
    let surrogate = ppo_clip(
        &tensor(&RATIOS).log().unwrap(),
        &tensor(&[0.0; 6]),
        &tensor(&ADVANTAGES),
        Clip::symmetric(0.2),
    );
    let found = values(&surrogate.unwrap().losses);
    close(&found, &[-0.5, -1.0, -1.2, 0.8, 1.0, 2.0]);
    // The minimum of the *losses*, as often written, is the optimistic one.
    let optimistic =
        |(ratio, advantage): (&f64, f64)| (-ratio * advantage).min(-ratio.clamp(0.8, 1.2) * advantage);
    let wrong: Vec<f64> = RATIOS.iter().zip(ADVANTAGES).map(optimistic).collect();
    close(&wrong, &[-0.8, -1.0, -2.0, 0.5, 1.0, 1.2]);
}

/// A token in the sample is there because it was drawn: weighing it by its probability again counts that twice.
#[test]
fn the_divergence_of_sampled_tokens_is_not_weighted_by_their_probability() {
    let (p, q): ([f64; 3], [f64; 3]) = ([0.7, 0.2, 0.1], [0.5, 0.3, 0.2]);
    let logs = |probabilities: [f64; 3]| tensor(&probabilities.map(f64::ln));
    let exact: f64 = (0..3).map(|v| p[v] * (p[v] / q[v]).ln()).sum();

    let sampled = values(&k1(&logs(p), &logs(q)).unwrap());
    let expectation = |of_token: &dyn Fn(usize) -> f64| (0..3).map(|v| p[v] * of_token(v)).sum::<f64>();
    assert!((expectation(&|v| sampled[v]) - exact).abs() < 1e-15);
    let wrong = expectation(&|v| p[v] * (p[v] / q[v]).ln());
    assert!((wrong - exact).abs() > 0.02, "{wrong} is not far from {exact}");
}

/// Two episodes in five steps, γ 0.99, λ 0.95: the first ends with its third step, the second is cut off where the
/// critic expects 0.25 more. From the last step of each: δ₂ = 2 − 0.6, A₁ = δ₁ + 0.9405·A₂ and so on.
#[test]
fn generalized_advantages_with_episode_ends_by_hand() {
    let rewards = tensor(&[1.0, 0.0, 2.0, 0.5, 1.0]);
    let critic = tensor(&[0.5, 0.4, 0.6, 0.3, 0.2]);
    let episodes = Sequences::packed(&[0, 0, 0, 1, 1], 2, &Device::Cpu).unwrap();
    let estimate = |bootstrap: [f64; 2]| gae(&rewards, &critic, &episodes, &bootstrap, 0.99, 0.95).unwrap();
    let Gae { advantages, returns } = estimate([0.0, 0.25]);
    close(&values(&advantages), &[2.316_813_35, 1.510_7, 1.4, 1.383_173_75, 1.047_5]);
    close(&values(&returns), &[2.816_813_35, 1.910_7, 2.0, 1.683_173_75, 1.247_5]);

    // Without the end, the second episode's value and advantage leak into the first.
    let one = Sequences::packed(&[0; 5], 1, &Device::Cpu).unwrap();
    let leaked = values(&gae(&rewards, &critic, &one, &[0.25], 0.99, 0.95).unwrap().advantages);
    assert!((leaked[2] - 1.4).abs() > 1.0 && (leaked[4] - 1.047_5).abs() < 1e-12);
    // Taken for an end, a cut-off makes the last steps look worse than they are.
    let ended = values(&estimate([0.0, 0.0]).advantages);
    close(&ended[3..], &[1.383_173_75 - 0.9405 * 0.2475, 1.047_5 - 0.2475]);
}

/// Half of the larger square: the critic's loss is pessimistic too.
#[test]
fn a_clipped_value_loss_never_rewards_having_moved_too_far() {
    let (predicted, old, returns) = (tensor(&[0.9, 0.9, 0.1]), tensor(&[0.0; 3]), tensor(&[1.0, 0.0, 1.0]));
    let loss = clipped_value_loss(&predicted, &old, &returns, 0.2).unwrap();
    close(&values(&loss.losses), &[0.5 * 0.8 * 0.8, 0.5 * 0.9 * 0.9, 0.5 * 0.9 * 0.9]);
    close(&values(&loss.clipped), &[1.0, 0.0, 0.0]);
}

/// A mean over the padded width makes the loss of a token depend on the longest row of its batch.
#[test]
fn a_mean_is_over_what_counts() {
    let losses = Tensor::new(&[[1.0, 3.0, 100.0, 100.0], [2.0, 2.0, 2.0, 6.0]], &Device::Cpu).unwrap();
    let mask = Tensor::new(&[[1u8, 1, 0, 0], [1, 1, 1, 1]], &Device::Cpu).unwrap();
    let sequences = Sequences::padded(&mask).unwrap();
    let number = |loss: candle_core::Result<Tensor>| loss.unwrap().to_scalar::<f64>().unwrap();
    assert_eq!(number(seq_mean_token_mean(&losses, &sequences, 2)), (2.0 + 3.0) / 2.0);
    assert_eq!(number(token_mean(&losses, &sequences, 6)), 16.0 / 6.0);
    // Two micro-batches of one row each, divided by what the window holds, are the window.
    let rows = |i: usize| {
        let row = Sequences::padded(&mask.narrow(0, i, 1).unwrap()).unwrap();
        let losses = losses.narrow(0, i, 1).unwrap();
        (number(token_mean(&losses, &row, 6)), number(seq_mean_token_mean(&losses, &row, 2)))
    };
    assert!((rows(0).0 + rows(1).0 - 16.0 / 6.0).abs() < 1e-15);
    assert_eq!(rows(0).1 + rows(1).1, 2.5);
}

#[test]
fn whitening_uses_the_unbiased_variance_of_what_counts() {
    let mask = Tensor::new(&[[1u8, 1, 1, 0]], &Device::Cpu).unwrap();
    let values = Tensor::new(&[[1.0, 2.0, 3.0, 50.0]], &Device::Cpu).unwrap();
    let whitened = whiten(&values, &Sequences::padded(&mask).unwrap()).unwrap();
    let scale = (1.0f64 + 1e-8).sqrt();
    close(&whitened.to_vec2::<f64>().unwrap()[0], &[-1.0 / scale, 0.0, 1.0 / scale, 48.0 / scale]);
}
