//! The critic-free family on a tiny golden model: what an update does to the completions that it is made of.
#![cfg(feature = "clap")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use align_ppo::{
    GroupAlgorithm, GroupBatch, GroupCompletion, GroupLossType, GroupObjective, GroupOptions, Method as _,
    OnlineDpo, OnlineDpoConfig,
};
use align_train::{Objective as _, Weights};
use bench::{ALGORITHMS, Bench, SCORES, config, training};

#[test]
fn every_algorithm_makes_the_better_completions_likelier_and_the_others_less() {
    for algorithm in ALGORITHMS {
        let bench = Bench::new();
        // Without the length in the way of the comparison, and every completion in the loss.
        let options = GroupOptions { mask_truncated_completions: Some(false), ..GroupOptions::default() };
        let learned = bench.learn(&mut training(&bench, algorithm, &options), &SCORES);
        assert_eq!(learned.updates.len(), 1);
        let (before, after) = (&bench.reference, bench.log_probs());
        let gain = |number: usize| after[number].iter().sum::<f32>() - before[number].iter().sum::<f32>();
        let group = |first: usize, best: usize| {
            let others: Vec<f32> = (first..first + 4).filter(|n| *n != best).map(gain).collect();
            assert!(
                others.iter().all(|&other| gain(best) > other),
                "{algorithm:?}: {} {others:?}",
                gain(best)
            );
        };
        group(0, 0);
        group(4, 6);
        // The policy that sampled is the one that is updated.
        let ratio = learned.updates[0].metrics.get("val/ratio").unwrap();
        assert!((ratio - 1.0).abs() < 1e-5, "{algorithm:?}: {ratio}");
        if algorithm != GroupAlgorithm::Gspo {
            assert!(
                learned.updates[0].metrics.get("clip_ratio/region_mean").is_none_or(|clipped| clipped == 0.0)
            );
        }
    }
}

#[test]
fn equal_rewards_are_counted_and_move_nothing() {
    for algorithm in ALGORITHMS {
        let bench = Bench::new();
        let options = GroupOptions { beta: Some(0.0), ..GroupOptions::default() };
        let learned = bench.learn(&mut training(&bench, algorithm, &options), &[1.0; 8]);
        assert_eq!(learned.metrics.get("frac_reward_zero_std"), Some(1.0));
        assert!(
            learned.updates.iter().all(|update| update.grad_norm == 0.0 && update.loss == 0.0),
            "{algorithm:?}"
        );
        assert_eq!(bench.log_probs(), bench.reference, "{algorithm:?}");
    }
}

#[test]
fn unscored_completions_move_nothing_and_the_rest_goes_on() {
    let bench = Bench::new();
    let mut scores = SCORES;
    scores[1] = f64::NAN;
    let learned = bench.learn(&mut training(&bench, GroupAlgorithm::Grpo, &GroupOptions::default()), &scores);
    assert!((learned.metrics.get("reward").unwrap() - 2.0 / 7.0).abs() < 1e-9);
    assert!(learned.updates[0].loss.is_finite() && learned.updates[0].grad_norm > 0.0);
}

#[test]
fn an_update_does_not_depend_on_how_it_is_cut() {
    let bench = Bench::new();
    let advantages = [1.5, -0.5, -0.5, -0.5, 0.25, -1.0, 0.5, 0.25];
    let completion = |number: usize| {
        let rollout = &bench.rollouts.completions[number];
        GroupCompletion {
            prompt: &bench.rollouts.prompt_of(number).tokens,
            tokens: &rollout.tokens,
            advantage: advantages[number],
            old_log_probs: Some(&rollout.behaviour_log_probs),
            reference_log_probs: Some(&bench.reference[number]),
            counts: number != 3,
        }
    };
    let batch = |numbers: std::ops::Range<usize>| {
        let completions: Vec<_> = numbers.map(completion).collect();
        GroupBatch::new(&completions, Vec::new()).unwrap()
    };
    for loss in GroupLossType::ALL.iter().filter(|loss| **loss != GroupLossType::Bnpo) {
        let options = GroupOptions { loss_type: Some(*loss), beta: Some(0.1), ..GroupOptions::default() };
        let config = config(GroupAlgorithm::Grpo, &options).unwrap();
        let objective = GroupObjective::new(bench.policy(), config.loss, 0.1, 1.0);
        let total = |batches: &[GroupBatch]| -> f32 {
            let mut totals = Weights::default();
            batches.iter().for_each(|batch| totals.merge(&objective.weights(batch)));
            batches
                .iter()
                .map(|it| objective.loss(it, &totals).unwrap().loss.to_scalar::<f32>().unwrap())
                .sum()
        };
        let (whole, cut) = (total(&[batch(0..8)]), total(&[batch(0..3), batch(3..6), batch(6..8)]));
        assert!((whole - cut).abs() < 1e-6, "{loss:?}: {whole} whole, {cut} in three");
    }
}

#[test]
fn completions_that_were_cut_off_can_be_left_out() {
    let learned = |bench: &Bench, masked: bool| {
        let options = GroupOptions { mask_truncated_completions: Some(masked), ..GroupOptions::default() };
        let mut scores = SCORES;
        scores[3] = -5.0;
        bench.learn(&mut training(bench, GroupAlgorithm::Dapo, &options), &scores)
    };
    let (kept, left_out) = (Bench::new(), Bench::new());
    assert!(learned(&kept, false).updates[0].grad_norm > 0.0);
    learned(&left_out, true);
    let fall =
        |bench: &Bench| bench.reference[3].iter().sum::<f32>() - bench.log_probs()[3].iter().sum::<f32>();
    assert!(fall(&kept) > 2.0 * fall(&left_out).abs(), "{} and {}", fall(&kept), fall(&left_out));

    let mut nothing = Bench::new();
    nothing.rollouts.completions.iter_mut().for_each(|completion| completion.finished = false);
    assert!(learned(&nothing, true).updates.is_empty(), "there is nothing to learn from");
}

#[test]
fn later_passes_over_the_same_completions_are_off_policy_and_clipped() {
    let bench = Bench::new();
    let options = GroupOptions { num_iterations: Some(30), epsilon: Some(0.1), ..GroupOptions::default() };
    let learned = bench.learn(&mut training(&bench, GroupAlgorithm::Grpo, &options), &SCORES);
    assert_eq!(learned.updates.len(), 30);
    let clipped = |update: usize| learned.updates[update].metrics.get("clip_ratio/region_mean").unwrap();
    assert_eq!(clipped(0), 0.0);
    assert!(clipped(29) > 0.2, "{}", clipped(29));
}

#[test]
fn a_penalty_holds_the_policy_to_the_reference() {
    let kl = |beta: f64| {
        let bench = Bench::new();
        let options = GroupOptions { beta: Some(beta), num_iterations: Some(20), ..GroupOptions::default() };
        let learned = bench.learn(&mut training(&bench, GroupAlgorithm::Grpo, &options), &SCORES);
        assert_eq!(learned.metrics.get("objective/kl"), Some(0.0), "they were sampled by the reference");
        let sum = |values: &[f32]| values.iter().sum::<f32>();
        bench.log_probs().iter().zip(&bench.reference).map(|(a, b)| (sum(a) - sum(b)).abs()).sum::<f32>()
    };
    assert!(kl(5.0) < 0.7 * kl(0.0), "{} and {}", kl(5.0), kl(0.0));
}

#[test]
fn a_raised_penalty_is_kept_with_a_checkpoint() {
    let bench = Bench::new();
    let dir = tempfile::tempdir().unwrap();
    let options = GroupOptions { beta: Some(0.1), ..GroupOptions::default() };
    let mut method = training(&bench, GroupAlgorithm::Rloo, &options);
    method.raise_kl(1.5);
    method.save_state(dir.path()).unwrap();
    let mut resumed = training(&bench, GroupAlgorithm::Rloo, &options);
    resumed.restore_state(dir.path()).unwrap();
    assert_eq!((resumed.kl_coef(), method.kl_coef()), (0.1 * 1.5, 0.1 * 1.5));
}

#[test]
fn online_dpo_prefers_the_completion_with_the_higher_score() {
    let bench = Bench::in_pairs();
    let config = OnlineDpoConfig {
        beta: 0.1,
        temperature: 1.0,
        per_device_train_batch_size: 2,
        gradient_accumulation_steps: 2,
        ranks: 1,
    };
    let mut method = OnlineDpo::new(bench.policy(), config.check().unwrap());
    // The third pair is a tie.
    let learned = bench.learn(&mut method, &[0.0, 1.0, 3.0, 1.0, 2.0, 2.0, f64::NAN, 0.0]);
    assert_eq!(learned.metrics.get("frac_reward_zero_std"), Some(0.5));
    assert!(
        (learned.updates[0].loss - std::f64::consts::LN_2).abs() < 1e-6,
        "it starts as its own reference"
    );
    let after = bench.log_probs();
    let gain =
        |number: usize| after[number].iter().sum::<f32>() - bench.reference[number].iter().sum::<f32>();
    assert!(gain(1) > gain(0) && gain(2) > gain(3));
    let ties = bench.learn(&mut method, &[1.0; 8]);
    assert!(ties.updates.is_empty());
    assert!(OnlineDpoConfig { beta: 0.0, ..config }.check().is_err());
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let refused = |algorithm, options: &GroupOptions, expected: &str| {
        let error = config(algorithm, options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let none = GroupOptions::default;
    let alone = GroupOptions { num_generations: Some(1), ..none() };
    refused(GroupAlgorithm::Grpo, &alone, "`num_generations` = 1: must be at least 2: grpo compares");
    let uneven = GroupOptions { num_generations: Some(3), ..none() };
    refused(GroupAlgorithm::Grpo, &uneven, "`num_generations` = 3: must divide the completions of a phase");
    let cispo = GroupOptions { loss_type: Some(GroupLossType::Cispo), delta: Some(2.0), ..none() };
    refused(GroupAlgorithm::Grpo, &cispo, "`delta` = 2: has no effect with method grpo and loss_type cispo");
    let loss = GroupOptions { loss_type: Some(GroupLossType::Sapo), ..none() };
    refused(GroupAlgorithm::Rloo, &loss, "`loss_type` = sapo: has no effect with method rloo");
    refused(
        GroupAlgorithm::Grpo,
        &GroupOptions { beta: Some(-1.0), ..none() },
        "`beta` = -1: must be a number",
    );
    let unweighed = GroupOptions { use_bias_correction_kl: true, ..none() };
    refused(GroupAlgorithm::Grpo, &unweighed, "has no effect while beta is 0");
    let long = GroupOptions { soft_punish_cache: Some(9), ..none() };
    refused(GroupAlgorithm::Dapo, &long, "must be from 1 to the longest completion, 8");
    assert!(config(GroupAlgorithm::ReinforcePp, &alone).is_ok(), "its baseline is the whole phase");
}
