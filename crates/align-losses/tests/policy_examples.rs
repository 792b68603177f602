//! What policy-gradient losses are made from, by hand; and what the border refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "policy/table.rs"]
#[expect(dead_code, reason = "shared with the tests of laws")]
mod table;

use align_losses::{
    AdaptiveKl, Clip, FixedKl, KlController, Sequences, VespoShape, VespoShapes, abs_kl,
    batch_scaled_advantages, bias_corrected_k3, cispo, clipped_rewards, clipped_surrogate,
    clipped_value_loss, dr_grpo_advantages, dual_clip_surrogate, exact_kl, gae, group_centered,
    group_normalized_rewards, grpo_advantages, k2, leave_one_out, log_ratios, normalized_advantages,
    off_policy_mask, optimal_value, ppo_clip, reinforce_pp_advantages, rloo_advantages,
    seq_mean_token_sum_norm, token_mean, token_rewards, top_entropy_mask, two_sided_surrogate, vespo,
    weighted_rewards,
};
use candle_core::{Device, Result, Tensor};
use table::{CLIP, Row, SHAPES, padded, tensor, values};

#[test]
fn advantages_by_hand() {
    let rewards = [1.0, 3.0, 2.0, 2.0];
    assert_eq!(dr_grpo_advantages(&rewards, 2).unwrap(), [-1.0, 1.0, 0.0, 0.0]);
    assert_eq!(rloo_advantages(&rewards, 2).unwrap(), [-2.0, 2.0, 0.0, 0.0]);
    let deviation = 2f64.sqrt() + 1e-4;
    assert_eq!(grpo_advantages(&rewards, 2).unwrap(), [-1.0 / deviation, 1.0 / deviation, 0.0, 0.0]);
    assert_eq!(reinforce_pp_advantages(&[5.0, 5.0]).unwrap(), [0.0, 0.0]);
    // A lone completion has nothing to be better than.
    assert_eq!(grpo_advantages(&[7.0], 1).unwrap(), [0.0]);
    assert_eq!(rloo_advantages(&[7.0], 1).unwrap(), [0.0]);
    assert!(leave_one_out(&[7.0], 1).unwrap()[0].is_nan());
    assert_eq!(rloo_advantages(&[f64::NAN, 4.0], 2).unwrap(), [0.0, 0.0]);
    assert_eq!(normalized_advantages(&[f64::NAN; 3]).unwrap(), [0.0; 3]);
}

#[test]
fn rewards_of_several_functions_are_summed_over_those_that_scored() {
    let nan = f64::NAN;
    let summed = weighted_rewards(&[vec![1.0, nan, nan], vec![2.0, 4.0, nan]], &[1.0, 0.5]).unwrap();
    assert_eq!(summed[..2], [2.0, 2.0]);
    assert!(summed[2].is_nan());
    // Normalised first, a function of a thousand times the scale weighs the same.
    let (small, large) = (vec![0.0, 1.0], vec![1000.0, 0.0]);
    let both = group_normalized_rewards(&[small, large], &[1.0, 1.0], 2).unwrap();
    assert!(both.iter().all(|reward| reward.abs() < 1e-3), "{both:?}");
    assert_eq!(clipped_rewards(&[-9.0, 0.5, 9.0], -1.0, 1.0).unwrap(), [-1.0, 0.5, 1.0]);
}

#[test]
fn the_value_of_a_prompt_lies_between_the_mean_and_the_best_of_its_rewards() {
    let rewards = [0.0, 1.0, 1.0, f64::NAN];
    assert!((optimal_value(&rewards, 1e6).unwrap() - 2.0 / 3.0).abs() < 1e-6);
    assert!((optimal_value(&rewards, 1e-3).unwrap() - 1.0).abs() < 1e-3);
    assert!((optimal_value(&[200.0, -200.0], 0.1).unwrap() - (200.0 + 0.1 * 0.5f64.ln())).abs() < 1e-12);
}

/// Summed as p·(log p − log q), f32 would leave noise of 10⁻⁷, of either sign.
#[test]
fn the_divergence_of_nearly_equal_models_keeps_its_digits_in_f32() {
    let policy = Tensor::new(&[0.5f32, -1.0, 2.0, 0.25], &Device::Cpu).unwrap();
    let step = Tensor::new(&[1.0f32, -1.0, 1.0, -1.0], &Device::Cpu).unwrap();
    let reference = (&policy + (step / 1024.0).unwrap()).unwrap();
    let exact = |logits: &Tensor| logits.to_dtype(candle_core::DType::F64).unwrap();
    let expected = exact_kl(&exact(&policy), &exact(&reference)).unwrap().to_scalar::<f64>().unwrap();
    let found = exact_kl(&policy, &reference).unwrap().to_scalar::<f32>().unwrap();
    assert!((f64::from(found) / expected - 1.0).abs() < 1e-3, "{found:e}, {expected:e}");
}

#[test]
fn a_negative_advantage_far_from_the_sampling_policy_is_left_out() {
    let far = |advantage| Row { tokens: vec![(-3.0, -1.0, 0.0), (-3.0, 0.0, 0.0)], advantage };
    let near = Row { tokens: vec![(-3.0, -0.1, 0.0)], advantage: -1.0 };
    let batch = padded(&[far(1.0), far(-1.0), near, Row { tokens: vec![], advantage: -1.0 }], 1, f64::NAN);
    let mask = |old: &Tensor| {
        values(&off_policy_mask(&batch.log_probs, old, &batch.advantages, &batch.sequences, 0.4).unwrap())
    };
    assert_eq!(mask(&batch.old), [1.0, 0.0, 1.0, 1.0]);
    // Unknown everywhere: no evidence against any.
    assert_eq!(mask(&(batch.old.zeros_like().unwrap() * f64::NAN).unwrap()), [1.0; 4]);
}

#[test]
fn the_most_entropic_tokens_are_those_at_or_above_the_quantile() {
    let entropies = Tensor::new(&[[0.1, 0.9, f64::NAN], [0.5, 0.3, 0.7]], &Device::Cpu).unwrap();
    let mask = Tensor::new(&[[1u8, 1, 0], [1, 1, 1]], &Device::Cpu).unwrap();
    let kept =
        |share| values(&top_entropy_mask(&entropies, &Sequences::padded(&mask).unwrap(), share).unwrap());
    assert_eq!(kept(1.0), [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]);
    // Sorted 0.1 0.3 0.5 0.7 0.9: the quantile 0.6 is at rank 2.4, 0.58.
    assert_eq!(kept(0.4), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn controllers_steer_by_at_most_a_fifth_and_a_fixed_one_not_at_all() {
    let mut adaptive = AdaptiveKl::new(0.2, 6.0, 100.0).unwrap();
    adaptive.update(6.0, 50).unwrap();
    assert_eq!(adaptive.value(), 0.2);
    adaptive.update(f64::INFINITY, 50).unwrap();
    assert!((adaptive.value() - 0.2 * 1.1).abs() < 1e-15);
    adaptive.update(0.0, 100).unwrap();
    assert!((adaptive.value() - 0.2 * 1.1 * 0.8).abs() < 1e-15);
    let mut fixed = FixedKl { value: 0.05 };
    fixed.update(1e9, 100).unwrap();
    assert_eq!(fixed.value(), 0.05);
    assert!(fixed.update(f64::NAN, 1).is_err() && adaptive.update(f64::NAN, 1).is_err());
}

/// 64 samples of half the target, at a horizon of 10, would multiply the coefficient by 1 − 0.2·6.4: a reward from then on
/// for leaving the reference.
#[test]
fn a_steered_coefficient_stays_positive_or_is_refused() {
    let mut hasty = AdaptiveKl::new(0.05, 6.0, 10.0).unwrap();
    for kl in [3.0, 6.0, 12.0] {
        let message = hasty.update(kl, 64).unwrap_err().to_string();
        assert!(message.contains("a horizon above 0.2 of the 64 samples of an update, got 10"), "{message}");
        assert_eq!(hasty.value(), 0.05);
    }
    assert!(!hasty.stays_positive(50) && hasty.stays_positive(49));
    // As fast as is allowed, as far as it goes, and back.
    for _ in 0..2000 {
        hasty.update(0.0, 49).unwrap();
        assert!(hasty.value() > 0.0);
    }
    for _ in 0..4000 {
        hasty.update(f64::INFINITY, 49).unwrap();
        assert!(hasty.value().is_finite());
    }
    assert!(hasty.value() > 1e300);
}

#[test]
fn the_score_goes_to_the_last_token_that_counts() {
    let mask = Tensor::new(&[[1u8, 1, 0], [0, 0, 0], [0, 1, 1]], &Device::Cpu).unwrap();
    let kl = Tensor::new(&[[0.1, 0.2, f64::NAN], [f64::NAN; 3], [9.0, 0.0, 0.3]], &Device::Cpu).unwrap();
    let rewards = token_rewards(&kl, &[1.0, 5.0, -1.0], &Sequences::padded(&mask).unwrap(), 0.5).unwrap();
    assert_eq!(values(&rewards), [-0.05, 1.0 - 0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0 - 0.15]);
}

#[test]
fn a_refusal_says_what_was_expected_and_what_was_found() {
    let check = |result: Result<Tensor>, expected: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    };
    let (two, three) = (tensor(&[-1.0, -2.0]), tensor(&[-1.0, -2.0, -3.0]));
    let sequences = Sequences::packed(&[0, 1], 2, &Device::Cpu).unwrap();
    let integers = Tensor::new(&[1u32, 2], &Device::Cpu).unwrap();
    let negative = Clip { low: -0.1, high: 0.2 };
    let surrogate = |ratios: &Tensor, advantages: &Tensor, clip| {
        clipped_surrogate(ratios, advantages, clip).map(|s| s.losses)
    };
    let listed = |advantages: Result<Vec<f64>>| advantages.map(|advantages| tensor(&advantages));

    check(surrogate(&two, &three, CLIP), "expected advantages in the shape of the log-ratios [2], got [3]");
    check(surrogate(&integers, &two, CLIP), "of a floating type");
    check(surrogate(&two, &two, negative), "expected clip low to be 0 or a positive number, got -0.1");
    check(ppo_clip(&two, &three, &two, CLIP).map(|s| s.losses), "in the shape of the policy's [2], got [3]");
    check(dual_clip_surrogate(&two, &two, CLIP, 1.0).map(|s| s.losses), "to be a number above 1, got 1");
    check(
        two_sided_surrogate(&two, &two, CLIP, 0.0).map(|s| s.losses),
        "expected delta to be a positive number, got 0",
    );
    check(log_ratios(&two, &three, &sequences), "expected values of the sequences' tokens [2], got [3]");
    check(
        cispo(&two, &two, &two, &sequences, f64::NAN).map(|c| c.losses),
        "expected cap to be a positive number, got NaN",
    );
    check(
        clipped_value_loss(&two, &two, &three, 0.2).map(|v| v.losses),
        "expected returns in the shape of the values [2], got [3]",
    );
    check(token_mean(&three, &sequences, 3), "expected values of the sequences' tokens [2], got [3]");
    check(
        seq_mean_token_sum_norm(&three, &sequences, 2, 8),
        "expected values of the sequences' tokens [2], got [3]",
    );
    check(top_entropy_mask(&two, &sequences, 0.0), "expected a share of tokens in (0, 1], got 0");
    check(
        gae(&two, &two, &sequences, &[0.0], 1.0, 1.0).map(|g| g.returns),
        "expected one bootstrap value per sequence (2), got 1",
    );
    check(
        gae(&two, &two, &sequences, &[0.0; 2], 1.01, 1.0).map(|g| g.returns),
        "expected gamma in [0, 1], got 1.01",
    );
    check(
        token_rewards(&two, &[f64::NAN, 0.0], &sequences, 0.1),
        "expected one score per sequence that is a finite number, got NaN",
    );
    check(exact_kl(&two, &three), "expected logits [.., vocab] of policy and reference, got [2] and [3]");
    check(
        bias_corrected_k3(&two, &two, &three),
        "expected log-ratios in the shape of the policy's log-probs [2], got [3]",
    );
    check(abs_kl(&two, &three), "in the shape of the policy's [2], got [3]");
    check(k2(&two, &three), "in the shape of the policy's [2], got [3]");
    check(
        listed(grpo_advantages(&[1.0; 5], 2)),
        "expected rewards in whole groups of num_generations (2), got 5",
    );
    check(listed(grpo_advantages(&[1.0; 5], 0)), "num_generations (0), got 5");
    let infinite = [1.0, f64::INFINITY, f64::NAN, f64::NEG_INFINITY];
    for refused in [
        grpo_advantages(&infinite, 2),
        batch_scaled_advantages(&infinite, 4),
        dr_grpo_advantages(&infinite, 2),
        rloo_advantages(&infinite, 2),
        group_centered(&infinite, 2),
        leave_one_out(&infinite, 2),
        normalized_advantages(&infinite),
        reinforce_pp_advantages(&infinite),
        weighted_rewards(&[infinite.to_vec()], &[0.0]),
        group_normalized_rewards(&[infinite.to_vec()], &[1.0], 2),
        optimal_value(&infinite, 1.0).map(|value| vec![value]),
    ] {
        check(listed(refused), "expected rewards that are finite, or NaN where there is none, got inf");
    }
    check(
        listed(weighted_rewards(&[vec![1.0]], &[f64::NAN])),
        "expected a weight to be a finite number, got NaN",
    );
    let shaped = |k, lambda| {
        let shape = VespoShape { k, lambda };
        let shapes = VespoShapes { positive: shape, negative: SHAPES.negative };
        vespo(&two, &two, &two, &sequences, shapes).map(|vespo| vespo.losses)
    };
    check(shaped(-1.0, 2.0), "expected k to be 0 or a positive number, got -1");
    check(shaped(f64::NAN, 2.0), "expected k to be 0 or a positive number, got NaN");
    check(shaped(1.0, -2.0), "expected lambda to be 0 or a positive number, got -2");
    check(shaped(1.0, f64::INFINITY), "expected lambda to be 0 or a positive number, got inf");
    check(
        off_policy_mask(&two, &two, &two, &sequences, f64::NAN),
        "expected threshold to be a finite number, got NaN",
    );
    check(
        listed(weighted_rewards(&[vec![1.0]], &[1.0, 2.0])),
        "expected one weight per reward function (1), got 2",
    );
    check(
        listed(weighted_rewards(&[vec![1.0], vec![]], &[1.0, 2.0])),
        "expected 1 rewards of each function, got 0",
    );
    check(
        listed(clipped_rewards(&[1.0], 1.0, -1.0)),
        "expected a range of rewards from low to high, got [1, -1]",
    );
    check(
        optimal_value(&[f64::NAN], 1.0).map(|v| tensor(&[v])),
        "expected at least one scored completion of the prompt, got none of 1",
    );
    check(
        AdaptiveKl::new(0.1, 0.0, 1.0).map(|_| two.clone()),
        "expected the target divergence to be a positive number, got 0",
    );
}
