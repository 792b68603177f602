//! Laws of the policy-gradient losses, and of what they are built from, that hold for every input: order, padding,
//! precision.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "policy/table.rs"]
#[expect(dead_code, reason = "shared with the tests of gradients")]
mod table;

use align_losses::{
    batch_scaled_advantages, clipped_surrogate, dr_grpo_advantages, dual_clip_surrogate, exact_kl, gae,
    grpo_advantages, k1, k3, rloo_advantages, token_moments, two_sided_surrogate, whiten, whiten_around_mean,
};
use candle_core::{DType, Var};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use table::{Batch, CAP, CLIP, LOSSES, Policy, Row, kl, packed, padded, tensor, values};

fn fixed() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    }
}

/// Rows of up to five tokens, some empty, whose ratios fall on all sides of every bound.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let token = (-12.0..0.0f64, -2.0..2.0f64, -3.0..3.0f64);
    let advantage = prop_oneof![8 => -3.0..3.0f64, 1 => Just(0.0)];
    let row = (prop::collection::vec(token, 0..6), advantage);
    prop::collection::vec(row.prop_map(|(tokens, advantage)| Row { tokens, advantage }), 1..6)
}

/// Losses by sequence and gradients by counted token, sequence after sequence.
fn both(loss: &Policy, batch: &Batch) -> (Vec<f64>, Vec<f64>) {
    let log_probs = Var::from_tensor(&batch.log_probs).unwrap();
    let losses = (loss.losses)(&batch.with_log_probs(&log_probs)).unwrap();
    let grads = losses.sum_all().unwrap().backward().unwrap();
    let grads = grads.get(&log_probs).map_or_else(|| vec![0.0; log_probs.elem_count()], values);
    let counted: Vec<usize> = batch.sequences.positions().unwrap().into_iter().flatten().collect();
    let padding = (0..grads.len()).filter(|position| !counted.contains(position));
    assert!(
        padding.into_iter().all(|position| grads[position] == 0.0),
        "{}: padding has a gradient",
        loss.name
    );
    let counted = counted.into_iter().map(|position| grads[position]).collect();
    (values(&losses), counted)
}

fn same(what: &str, found: &[f64], expected: &[f64]) -> std::result::Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len(), "{}", what);
    for (found, expected) in found.iter().zip(expected) {
        prop_assert!(
            (found - expected).abs() <= 1e-11 * expected.abs().max(1.0),
            "{what}: {found}, {expected}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn packed_equals_padded_whatever_the_padding_holds(
        rows in rows(),
        before in 0usize..3,
        filler in prop::sample::select(vec![0.0, 3.0, f64::NEG_INFINITY, f64::NAN]),
    ) {
        for loss in &LOSSES {
            let (packed, padded) = (both(loss, &packed(&rows)), both(loss, &padded(&rows, before, filler)));
            same(loss.name, &padded.0, &packed.0)?;
            same(loss.name, &padded.1, &packed.1)?;
        }
        let (packed, padded) = (packed(&rows), padded(&rows, before, filler));
        same("k3", &values(&kl(&padded).unwrap()), &values(&kl(&packed).unwrap()))?;
    }

    #[test]
    fn reordering_sequences_reorders_losses_and_gradients_and_changes_nothing_else(rows in rows(), turn in 0usize..6) {
        let turn = turn % rows.len();
        let mut turned = rows.clone();
        turned.rotate_left(turn);
        let first: usize = rows[..turn].iter().map(|row| row.tokens.len()).sum();
        for loss in &LOSSES {
            let (mut losses, mut grads) = both(loss, &packed(&rows));
            losses.rotate_left(turn);
            grads.rotate_left(first);
            let found = both(loss, &packed(&turned));
            same(loss.name, &found.0, &losses)?;
            same(loss.name, &found.1, &grads)?;
        }
    }

    #[test]
    fn on_policy_every_surrogate_has_reinforces_gradient(mut rows in rows()) {
        rows.iter_mut().flat_map(|row| &mut row.tokens).for_each(|token| token.1 = 0.0);
        let batch = packed(&rows);
        let expected = values(&batch.sequences.spread(&batch.advantages).unwrap().neg().unwrap());
        for loss in LOSSES.iter().filter(|loss| loss.reinforces) {
            same(loss.name, &both(loss, &batch).1, &expected)?;
            // Without a stored π_old the policy itself is passed.
            let log_probs = Var::from_tensor(&batch.log_probs).unwrap();
            let unstored = Batch { old: log_probs.as_tensor().clone(), ..batch.with_log_probs(&log_probs) };
            let grads = (loss.losses)(&unstored).unwrap().sum_all().unwrap().backward().unwrap();
            if let Some(found) = grads.get(&log_probs) {
                same(loss.name, &values(found), &expected)?;
            }
        }
    }

    #[test]
    fn two_sided_clipping_with_a_bound_above_the_range_is_the_dual_clip(rows in rows()) {
        let batch = packed(&rows);
        let (ratios, advantages) = (batch.log_ratios().unwrap(), batch.sequences.spread(&batch.advantages).unwrap());
        let two_sided = two_sided_surrogate(&ratios, &advantages, CLIP, CAP).unwrap();
        let dual = dual_clip_surrogate(&ratios, &advantages, CLIP, CAP).unwrap();
        prop_assert_eq!(values(&two_sided.losses), values(&dual.losses));
        let plain = values(&clipped_surrogate(&ratios, &advantages, CLIP).unwrap().losses);
        prop_assert!(values(&dual.losses).iter().zip(&plain).all(|(dual, plain)| dual <= plain));
        let shares = dual.token_clip_ratios(&batch.sequences).unwrap();
        prop_assert!(shares.low_min <= shares.low_mean && shares.high_mean <= shares.high_max + 1e-12);
        prop_assert!(shares.region_mean <= 1.0 + 1e-12);
    }

    #[test]
    fn the_exact_divergence_is_the_mean_of_its_estimates_and_never_negative(
        logits in prop::collection::vec((-20.0..20.0f64, -20.0..20.0f64), 2..12),
    ) {
        let (policy, reference): (Vec<f64>, Vec<f64>) = logits.into_iter().unzip();
        let exact = exact_kl(&tensor(&policy), &tensor(&reference)).unwrap().to_scalar::<f64>().unwrap();
        let log_softmax = |logits: &[f64]| {
            let total = logits.iter().map(|x| x.exp()).sum::<f64>().ln();
            tensor(&logits.iter().map(|x| x - total).collect::<Vec<_>>())
        };
        let (p, q) = (log_softmax(&policy), log_softmax(&reference));
        for estimator in [k1, k3] {
            let mean = (estimator(&p, &q).unwrap() * p.exp().unwrap()).unwrap().sum_all().unwrap();
            let mean = mean.to_scalar::<f64>().unwrap();
            prop_assert!((mean - exact).abs() <= 1e-9 * exact.max(1.0), "{mean}, {exact}");
        }
        let single = |x: &[f64]| tensor(x).to_dtype(DType::F32).unwrap();
        let in_f32 = exact_kl(&single(&policy), &single(&reference)).unwrap().to_scalar::<f32>().unwrap();
        prop_assert!(in_f32 >= 0.0 && (f64::from(in_f32) - exact).abs() <= 1e-5 * exact.max(0.1));
        prop_assert_eq!(exact_kl(&tensor(&policy), &tensor(&policy)).unwrap().to_scalar::<f64>().unwrap(), 0.0);
    }

    #[test]
    fn gae_with_lambda_one_is_the_return_less_the_value_and_with_zero_the_one_step_error(
        rows in rows(), gamma in 0.5..1.0f64, bootstrap in -2.0..2.0f64,
    ) {
        let batch = padded(&rows, 1, f64::NAN);
        let (rewards, critic) = (&batch.old, &batch.reference); // any numbers
        let starts = vec![bootstrap; rows.len()];
        let estimate = |lam| values(&gae(rewards, critic, &batch.sequences, &starts, gamma, lam).unwrap().advantages);
        let (whole, step) = (estimate(1.0), estimate(0.0));
        let (r, v) = (values(rewards), values(critic));
        for tokens in batch.sequences.positions().unwrap() {
            let mut future = bootstrap;
            let mut next_value = bootstrap;
            for &t in tokens.iter().rev() {
                future = r[t] + gamma * future;
                same("lambda 1", &[whole[t]], &[future - v[t]])?;
                same("lambda 0", &[step[t]], &[r[t] + gamma * next_value - v[t]])?;
                next_value = v[t];
            }
        }
        prop_assert!(whole.iter().all(|a| a.is_finite()), "padding");
    }

    #[test]
    fn whitened_values_have_mean_zero_and_variance_one_where_they_count(rows in rows()) {
        let batch = padded(&rows, 1, f64::NAN);
        let whitened = whiten(&batch.log_probs, &batch.sequences).unwrap();
        let moments = token_moments(&whitened, &batch.sequences).unwrap();
        prop_assert!(moments.mean.abs() < 1e-9);
        if moments.count > 1 {
            prop_assert!((moments.variance - 1.0).abs() < 1e-4);
        }
        let scaled = whiten_around_mean(&batch.log_probs, &batch.sequences).unwrap();
        let kept = token_moments(&scaled, &batch.sequences).unwrap().mean;
        prop_assert!((kept - token_moments(&batch.log_probs, &batch.sequences).unwrap().mean).abs() < 1e-9);
    }

    #[test]
    fn group_advantages_ignore_a_constant_and_unscored_completions(
        rewards in prop::collection::vec(-5.0..5.0f64, 8), shift in -9.0..9.0f64, unscored in 0usize..8,
    ) {
        for advantages in [grpo_advantages, dr_grpo_advantages, rloo_advantages, batch_scaled_advantages] {
            let plain = advantages(&rewards, 4).unwrap();
            prop_assert!(plain[..4].iter().sum::<f64>().abs() < 1e-9);
            let shifted: Vec<f64> = rewards.iter().map(|reward| reward + shift).collect();
            same("shifted", &advantages(&shifted, 4).unwrap(), &plain)?;
        }
        // A group of four with one not scored is the group of the other three.
        let mut holed = rewards.clone();
        holed[unscored] = f64::NAN;
        let group = unscored / 4 * 4;
        let others: Vec<f64> = holed[group..group + 4].iter().copied().filter(|r| !r.is_nan()).collect();
        for advantages in [grpo_advantages, dr_grpo_advantages, rloo_advantages] {
            let found = advantages(&holed, 4).unwrap();
            prop_assert_eq!(found[unscored], 0.0);
            let of_others: Vec<f64> = (group..group + 4).filter(|&i| i != unscored).map(|i| found[i]).collect();
            same("holed", &of_others, &advantages(&others, 3).unwrap())?;
        }
    }
}

/// Ratios of e^±200 and e^±1000 with every sign of advantage, beside a reference that is the policy, near it, and as
/// far from it: huge where the loss is, NaN and infinite nowhere.
#[test]
fn ratios_that_overflow_give_the_bound_or_something_huge_and_never_nan() {
    let mut rows = Vec::new();
    for ratio in [1000.0, 200.0, -200.0, -1000.0, 0.0] {
        for to_reference in [0.0, 1e-12, -0.5, 0.5, -3.0, 130.0, -130.0, -1000.0] {
            rows.extend(
                [1.0, -1.0, 0.0]
                    .map(|advantage| Row { tokens: vec![(-1250.0, ratio, to_reference)], advantage }),
            );
        }
    }
    for dtype in [DType::F32, DType::F64] {
        for loss in &LOSSES {
            let (losses, grads) = both(loss, &packed(&rows).to_dtype(dtype).unwrap());
            assert!(
                losses.iter().chain(&grads).all(|x| x.is_finite()),
                "{} {dtype:?}: {losses:?} {grads:?}",
                loss.name
            );
        }
    }
    let exploded =
        packed(&[Row { tokens: vec![(-250.0, 200.0, 0.0)], advantage: -1.0 }]).to_dtype(DType::F32).unwrap();
    let loss = |name: &str| both(LOSSES.iter().find(|loss| loss.name == name).unwrap(), &exploded);
    let (value, slope) = loss("ppo_clip");
    assert!(value[0] > 1e34 && slope[0] > 1e32, "{value:?} {slope:?}");
    assert_eq!(loss("dual_clip_surrogate"), (vec![CAP], vec![0.0]));
}

#[test]
fn half_precision_is_computed_in_f32_and_long_sequences_are_exact() {
    let long = Row { tokens: vec![(-2.0, 0.0, 0.5); 8192], advantage: 0.5 };
    let batch = packed(&[long, Row { tokens: vec![(-2.0, 0.25, 0.5)], advantage: -1.0 }]);
    for loss in &LOSSES {
        let expected = both(loss, &batch).0;
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let half = batch.to_dtype(dtype).unwrap();
            assert_eq!((loss.losses)(&half).unwrap().dtype(), DType::F32, "{}", loss.name);
            let found = both(loss, &half).0;
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() <= 2e-5 * expected.abs().max(1.0),
                    "{} {dtype:?}: {found} {expected}",
                    loss.name
                );
            }
        }
    }
}
