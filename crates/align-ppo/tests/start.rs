//! What is refused or said before the first update: options without effect, updates that are cut, models that disagree.
#![cfg(feature = "clap")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use align_kernels::Precision;
use align_models::generation::GenerationOptions;
use align_ppo::{
    ActorCritic, CriticStart, GroupAlgorithm, GroupConfig, GroupLossType, GroupOptions, GroupSetting,
    GroupTraining, Method, OnlineDpo, OnlineDpoConfig, Phase, Ppo, PpoOptions, Sampling, check_start,
};
use bench::{ALGORITHMS, Bench, SCORES, config, model, training};
use candle_core::Device;
use clap::Parser;

#[test]
fn what_bounds_a_ratio_is_refused_where_every_ratio_is_1() {
    let none = GroupOptions::default;
    let with = |loss_type, options: GroupOptions| GroupOptions { loss_type: Some(loss_type), ..options };
    for (option, options) in [
        ("epsilon", GroupOptions { epsilon: Some(0.1), ..none() }),
        ("epsilon_high", GroupOptions { epsilon_high: Some(0.3), ..none() }),
        ("delta", GroupOptions { delta: Some(2.0), ..none() }),
        ("off_policy_mask_threshold", GroupOptions { off_policy_mask_threshold: Some(0.5), ..none() }),
        (
            "sapo_temperature_pos",
            with(GroupLossType::Sapo, GroupOptions { sapo_temperature_pos: Some(2.0), ..none() }),
        ),
        ("vespo_k_neg", with(GroupLossType::Vespo, GroupOptions { vespo_k_neg: Some(2.0), ..none() })),
    ] {
        let error = config(GroupAlgorithm::Grpo, &options).unwrap_err().to_string();
        assert!(error.contains(&format!("`{option}` = ")) && error.contains("one update a phase"), "{error}");
        let twice = GroupOptions { num_iterations: Some(2), ..options };
        config(GroupAlgorithm::Grpo, &twice).unwrap();
    }
    // A cap of the ratio below 1 scales every loss.
    let cap = with(GroupLossType::Cispo, GroupOptions { epsilon_high: Some(0.5), ..none() });
    config(GroupAlgorithm::Grpo, &cap).unwrap();
    // What a run records as its defaults it also accepts.
    for (iterations, has_range) in [(1, false), (2, true)] {
        let options = GroupOptions { num_iterations: Some(iterations), ..none() };
        let defaulted = options.defaulted(&config(GroupAlgorithm::Gspo, &options).unwrap());
        assert_eq!(defaulted.iter().any(|(name, _)| name.starts_with("epsilon")), has_range);
    }
}

#[test]
fn an_update_that_is_cut_is_announced_where_it_is_another_and_nowhere_else() {
    let announced = |options: &GroupOptions, gradient_accumulation_steps: usize| {
        let generation = GenerationOptions::sampled(8);
        let setting = GroupSetting {
            generation: &generation,
            per_device_train_batch_size: 8,
            gradient_accumulation_steps,
            ranks: 1,
        };
        options.check(GroupAlgorithm::Grpo, &setting).unwrap().notice_of_cut()
    };
    for loss in GroupLossType::ALL {
        let plain = GroupOptions { loss_type: Some(*loss), ..GroupOptions::default() };
        assert_eq!(announced(&plain, 2).is_some(), *loss == GroupLossType::Bnpo, "{loss:?}");
        assert_eq!(announced(&plain, 1), None);
    }
    let entropic = GroupOptions { top_entropy_quantile: Some(0.5), ..GroupOptions::default() };
    let notice = announced(&entropic, 2).unwrap();
    assert!(notice.contains("top_entropy_quantile") && notice.contains("2 micro-batches"), "{notice}");
    assert_eq!(announced(&entropic, 1), None);
    let all = GroupOptions { top_entropy_quantile: Some(1.0), ..GroupOptions::default() };
    assert_eq!(announced(&all, 2), None, "all tokens count, wherever they are");
}

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    ppo: PpoOptions,
}

/// PPO with a head for a critic, over the policy of a bench.
fn ppo(bench: &Bench) -> Ppo {
    let config = Program::parse_from(["ppo"]).ppo.check(8, 1, 1).unwrap();
    let start = CriticStart::Head { seed: 1 };
    let own = start.params(model().decoder_config(), &Device::Cpu).unwrap();
    let models = || ActorCritic { policy: bench.policy(), critic: start.critic(&own).unwrap() };
    let sampling = Sampling::new(GenerationOptions::sampled(8), vec![0]).unwrap();
    Ppo::new(config, models(), models(), &sampling, 1)
}

#[test]
fn a_start_whose_log_probs_do_not_agree_is_refused_before_an_update() {
    let checked = |bench: &Bench, method: &dyn Method, reference: &[Vec<f32>], is_own: bool| {
        let (rollouts, tasks) = (&bench.rollouts, bench.tasks.as_slice());
        let (old, scores) = (bench.recorded(), &SCORES);
        let (old_log_probs, reference_log_probs) = (&old, reference);
        let phase = Phase { number: 0, rollouts, tasks, scores, old_log_probs, reference_log_probs };
        check_start(method, &phase, 1.0, Precision::F32, is_own).map_err(|error| error.to_string())
    };
    let (bench, pairs) = (Bench::new(), Bench::in_pairs());
    let online = |bench: &Bench, temperature: f64| {
        let config = OnlineDpoConfig {
            beta: 0.1,
            temperature,
            per_device_train_batch_size: 2,
            gradient_accumulation_steps: 1,
            ranks: 1,
        };
        OnlineDpo::new(bench.policy(), config)
    };
    let group = |algorithm, temperature: f64| {
        let config = config(algorithm, &GroupOptions::default()).unwrap();
        GroupTraining::new(bench.policy(), GroupConfig { temperature, ..config })
    };
    checked(&bench, &ppo(&bench), &bench.reference, true).unwrap();
    checked(&pairs, &online(&pairs, 1.0), &pairs.reference, true).unwrap();
    for algorithm in ALGORITHMS {
        checked(&bench, &group(algorithm, 1.0), &bench.reference, true).unwrap();
        // An update at another temperature than the samples'.
        let error = checked(&bench, &group(algorithm, 0.9), &bench.reference, true).unwrap_err();
        assert!(error.contains("the update finds other log-probs than were recorded"), "{error}");
    }
    let error = checked(&pairs, &online(&pairs, 0.9), &pairs.reference, true).unwrap_err();
    assert!(error.contains("by up to 0."), "the worst difference is named: {error}");

    // A reference that is another model, where it should be the policy itself.
    let mut other = bench.reference.clone();
    other[6][1] -= 0.25;
    for method in [&ppo(&bench) as &dyn Method, &group(GroupAlgorithm::Rloo, 1.0)] {
        let error = checked(&bench, method, &other, true).unwrap_err();
        assert!(error.contains("must be 0; found log-probs up to 0.2500 nats"), "{error}");
        checked(&bench, method, &other, false).unwrap();
    }
    other[0][0] = f32::NAN;
    assert!(checked(&bench, &ppo(&bench), &other, true).is_err());

    // Samples of weights that have moved since.
    let moved = Bench::new();
    let options = GroupOptions { num_iterations: Some(10), ..GroupOptions::default() };
    moved.learn(&mut training(&moved, GroupAlgorithm::Grpo, &options), &SCORES);
    assert!(checked(&moved, &ppo(&moved), &moved.reference, true).is_err());
}
