//! The critic-free family on a tiny golden model: what an update does to the completions that it is made of.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use align_data::{Origin, PromptOnly, PromptTask, TemplateArguments, TokenizedTask};
use align_kernels::Params;
use align_models::generation::GenerationOptions;
use align_models::{CausalLm, ModelDir};
use align_ppo::{
    ActorCritic, CriticStart, GroupAlgorithm, GroupBatch, GroupCompletion, GroupConfig, GroupLossType,
    GroupObjective, GroupOptions, GroupSetting, GroupTraining, Learned, Method, OnlineDpo, OnlineDpoConfig,
    Phase, Ppo, PpoOptions, Prompt, Rollout, Rollouts, Sampling, check_start, log_probs,
};
use align_train::{AdamWConfig, LrSchedulerType, Objective, Schedule, Updater, Weights};
use candle_core::Device;
use clap::{Parser, ValueEnum as _};

const ALGORITHMS: [GroupAlgorithm; 7] = [
    GroupAlgorithm::Grpo,
    GroupAlgorithm::DrGrpo,
    GroupAlgorithm::Dapo,
    GroupAlgorithm::Gspo,
    GroupAlgorithm::Cispo,
    GroupAlgorithm::Rloo,
    GroupAlgorithm::ReinforcePp,
];

fn model() -> ModelDir {
    ModelDir::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/models/llama")).unwrap()
}

/// A model under training, with all that a phase needs.
struct Bench {
    params: Params,
    tasks: Vec<TokenizedTask>,
    rollouts: Rollouts,
    reference: Vec<Vec<f32>>,
}

impl Bench {
    /// Two prompts with four completions each.
    fn new() -> Self {
        let params = Params::tracked(&model().load(&Device::Cpu).unwrap()).unwrap();
        let tokens = |from: u32, n: u32| (0..n).map(|i| 5 + (from * 31 + i * 17) % 200).collect::<Vec<u32>>();
        let task = |row: usize| {
            let prompt = PromptOnly {
                prompt: "Question?".into(),
                template: TemplateArguments::default(),
                origin: Origin::in_code(row),
            };
            TokenizedTask { task: PromptTask { prompt, reference: None }, tokens: tokens(row as u32, 6) }
        };
        let tasks: Vec<TokenizedTask> = (0..2).map(task).collect();
        let prompts = tasks
            .iter()
            .enumerate()
            .map(|(row, task)| Prompt { row, tokens: Arc::from(task.tokens.as_slice()) });
        let completion = |number: u32| Rollout {
            tokens: tokens(10 + number, 3 + number % 4),
            log_probs: Vec::new(),
            finished: number != 3,
            text: format!("answer {number}"),
        };
        let completions = (0..8).map(completion).collect();
        let mut bench = Self {
            rollouts: Rollouts { prompts: prompts.collect(), num_generations: 4, completions },
            params,
            tasks,
            reference: Vec::new(),
        };
        bench.reference = bench.log_probs();
        for (completion, log_probs) in bench.rollouts.completions.iter_mut().zip(&bench.reference) {
            completion.log_probs.clone_from(log_probs);
        }
        bench
    }

    /// In groups of two instead.
    fn in_pairs() -> Self {
        let mut bench = Self::new();
        bench.rollouts.prompts = [0, 0, 1, 1].map(|prompt| bench.rollouts.prompts[prompt].clone()).to_vec();
        bench.rollouts.num_generations = 2;
        bench
    }

    fn policy(&self) -> CausalLm {
        CausalLm::new(model().decoder_config(), &self.params).unwrap()
    }

    /// What the policy now says of the completions' tokens.
    fn log_probs(&self) -> Vec<Vec<f32>> {
        let view = CausalLm::new(model().decoder_config(), &self.params.view()).unwrap();
        log_probs(&view, &self.rollouts, 1.0).unwrap()
    }

    fn updater(&self) -> Updater {
        let schedule = Schedule {
            kind: LrSchedulerType::Constant,
            learning_rate: 1e-3,
            warmup_steps: 0,
            total_steps: 100,
            decay_steps: 0,
        };
        Updater::new(&self.params, AdamWConfig::default(), schedule, Some(1.0)).unwrap()
    }

    fn learn(&self, method: &mut dyn Method, scores: &[f64]) -> Learned {
        let (rollouts, tasks) = (&self.rollouts, self.tasks.as_slice());
        let phase = Phase { number: 0, rollouts, tasks, scores, reference_log_probs: &self.reference };
        method.learn(&phase, &mut self.updater()).unwrap()
    }
}

fn config(algorithm: GroupAlgorithm, options: &GroupOptions) -> align_train::Result<GroupConfig> {
    let options =
        GroupOptions { num_generations: Some(options.num_generations.unwrap_or(4)), ..options.clone() };
    let generation = GenerationOptions::sampled(8);
    options.check(
        algorithm,
        &GroupSetting {
            generation: &generation,
            per_device_train_batch_size: 8,
            gradient_accumulation_steps: 1,
        },
    )
}

fn training(bench: &Bench, algorithm: GroupAlgorithm, options: &GroupOptions) -> GroupTraining {
    GroupTraining::new(bench.policy(), config(algorithm, options).unwrap())
}

const SCORES: [f64; 8] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];

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
            old_log_probs: Some(&rollout.log_probs),
            reference_log_probs: Some(&bench.reference[number]),
            counts: number != 3,
        }
    };
    let batch = |numbers: std::ops::Range<usize>| {
        let completions: Vec<_> = numbers.map(completion).collect();
        GroupBatch::new(&completions, Vec::new()).unwrap()
    };
    for loss in GroupLossType::value_variants().iter().filter(|loss| **loss != GroupLossType::Bnpo) {
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
        };
        options.check(GroupAlgorithm::Grpo, &setting).unwrap().notice_of_cut()
    };
    for loss in GroupLossType::value_variants() {
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
    let config = Program::parse_from(["ppo"]).ppo.check(8, 1).unwrap();
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
        let phase = Phase { number: 0, rollouts, tasks, scores: &SCORES, reference_log_probs: reference };
        check_start(method, &phase, 1.0, is_own).map_err(|error| error.to_string())
    };
    let (bench, pairs) = (Bench::new(), Bench::in_pairs());
    let online = |bench: &Bench, temperature: f64| {
        let config = OnlineDpoConfig {
            beta: 0.1,
            temperature,
            per_device_train_batch_size: 2,
            gradient_accumulation_steps: 1,
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
