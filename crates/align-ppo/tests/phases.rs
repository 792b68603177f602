//! The loop on one rank and on several: a policy that computes nothing any more is taken back, and ratios are against the
//! policy that learns, whoever sampled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::thread;

use align_data::{
    Order, Origin, PromptOnly, PromptTask, SamplingStrategy, TemplateArguments, TokenizedTask, Tokenizer,
};
use align_kernels::Params;
use align_models::generation::{GenerationOptions, Streams};
use align_models::{CausalLm, ModelDir, Packed};
use align_ppo::{
    Action, Ending, GroupAlgorithm, GroupOptions, GroupSetting, GroupTraining, Learned, LocalRollouter,
    Method, OnPolicy, Phase, Prompt, Rollouter, Rollouts, Sampling, ScoreSource, Scorer, Supervisor,
    SupervisorOptions,
};
use align_reward::{Reward, RewardError, Task};
use align_train::{
    Error, Outcome, OutputDir, Ranks, Result, Run, RunControl, Strategy, TrainOptions, Updater, threads,
};
use candle_core::{Device, Tensor};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/golden/runs/model");

/// Every answer is better than the one before it.
struct ByPlace;

impl Reward for ByPlace {
    fn name(&self) -> &'static str {
        "place"
    }

    fn rewards(&self, tasks: &[Task]) -> Result<Vec<Vec<f64>>, RewardError> {
        let of = |task: &Task| (0..task.candidates.completions.len()).map(|place| place as f64).collect();
        Ok(tasks.iter().map(of).collect())
    }
}

/// A method that is looked over the shoulder before it learns from a phase, and when it has.
struct Watched<'a> {
    inner: GroupTraining,
    look: &'a mut dyn FnMut(&Phase<'_>, When),
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    Before,
    After,
}

impl Method for Watched<'_> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn num_generations(&self) -> usize {
        self.inner.num_generations()
    }

    fn completions_per_phase(&self) -> usize {
        self.inner.completions_per_phase()
    }

    fn updates_per_phase(&self) -> usize {
        self.inner.updates_per_phase()
    }

    fn needs_reference(&self) -> bool {
        self.inner.needs_reference()
    }

    fn micro_batch_size(&self) -> usize {
        self.inner.micro_batch_size()
    }

    fn log_probs(&self, packed: &Packed) -> Result<Tensor> {
        self.inner.log_probs(packed)
    }

    fn learn(&mut self, phase: &Phase<'_>, updater: &mut Updater) -> Result<Learned> {
        (self.look)(phase, When::Before);
        let learned = self.inner.learn(phase, updater)?;
        (self.look)(phase, When::After);
        Ok(learned)
    }

    fn kl_coef(&self) -> f64 {
        self.inner.kl_coef()
    }

    fn raise_kl(&mut self, factor: f64) {
        self.inner.raise_kl(factor);
    }

    fn save_state(&self, dir: &Path) -> Result<()> {
        self.inner.save_state(dir)
    }

    fn restore_state(&mut self, dir: &Path) -> Result<()> {
        self.inner.restore_state(dir)
    }
}

/// How far a sampler's log-probs are from the policy's.
const APART: f32 = 0.25;

/// A sampler that computes other log-probs than the policy, as one does that is served elsewhere in another precision.
struct Served<'a> {
    inner: LocalRollouter<'a>,
    versions: Vec<usize>,
}

impl Rollouter for Served<'_> {
    fn weights_changed(&mut self, version: usize) -> Result<()> {
        self.versions.push(version);
        Ok(())
    }

    fn rollouts(
        &mut self,
        prompts: Vec<Prompt>,
        num_generations: usize,
        streams: Streams,
    ) -> Result<Rollouts> {
        let mut rollouts = self.inner.rollouts(prompts, num_generations, streams)?;
        for completion in &mut rollouts.completions {
            completion.behaviour_log_probs.iter_mut().for_each(|it| *it -= APART);
        }
        Ok(rollouts)
    }

    fn is_policy(&self) -> bool {
        false
    }
}

fn task(row: usize, text: &str, tokenizer: &Tokenizer) -> TokenizedTask {
    let template = TemplateArguments::default();
    let prompt = PromptOnly { prompt: text.into(), template, origin: Origin::in_code(row) };
    TokenizedTask {
        task: PromptTask { prompt, reference: None },
        prompt_is_cut: false,
        tokens: tokenizer.encode(text).unwrap(),
    }
}

/// What a rank comes to after three phases: how the run ended, what the log of it is, its weights.
struct Done {
    ending: Ending,
    steps: usize,
    learning_rate_scale: f64,
    weights: Vec<f32>,
}

/// Trains as one of some ranks. `look` sees each phase before and after it is learned from, and the weights; the policy samples
/// for itself unless it is `served`.
fn train(
    ranks: &Ranks,
    dir: &Path,
    served: bool,
    look: &mut dyn FnMut(&Phase<'_>, When, &Params),
) -> Result<Done> {
    let model = ModelDir::open(Path::new(MODEL)).unwrap();
    let tokenizer = Tokenizer::load(Path::new(MODEL)).unwrap();
    let params = model.load(&Device::Cpu).unwrap().tracked_copy().unwrap();
    let policy = |params: &Params| CausalLm::new(model.decoder_config(), params).unwrap();
    let tasks: Vec<_> =
        ["Hello.", "Why?"].iter().enumerate().map(|(row, text)| task(row, text, &tokenizer)).collect();
    let generation = GenerationOptions::sampled(6);
    let setting = GroupSetting {
        generation: &generation,
        per_device_train_batch_size: 2,
        gradient_accumulation_steps: 2 / ranks.size(),
        ranks: ranks.size(),
    };
    let options =
        GroupOptions { num_generations: Some(2), num_iterations: Some(2), ..GroupOptions::default() };
    let config = options.check(GroupAlgorithm::Grpo, &setting).unwrap();
    let supervised = config.supervised();
    let options = SupervisorOptions {
        supervisor_window: 3,
        kl_factor: 1.5,
        learning_rate_factor: 0.3,
        max_roll_backs: 3,
        ..SupervisorOptions::default()
    };
    let mut watch = Supervisor::new(options.check(&supervised).unwrap());
    let mut look = |phase: &Phase<'_>, when: When| look(phase, when, &params);
    let mut method = Watched { inner: GroupTraining::new(policy(&params), config), look: &mut look };
    let scorer = Scorer::new(vec![(1.0, ScoreSource::Texts(Box::new(ByPlace)))], 0.0).unwrap();
    let on_policy = OnPolicy {
        tasks: &tasks,
        order: Order { strategy: SamplingStrategy::Sequential, seed: 1 },
        policy: policy(&params.view()),
        reference: None,
        starts_as_its_reference: false,
        temperature: generation.temperature,
        tokenizer: &tokenizer,
        scorer: &scorer,
        seed: 1,
        phases: 3,
    };
    let sampling = Sampling::new(generation.clone(), vec![0]).unwrap();
    let mut local = LocalRollouter { policy: policy(&params.view()), sampling, tokenizer: &tokenizer };
    let options = TrainOptions { save_strategy: Strategy::No, ..TrainOptions::default() };
    let mut config = options.check(1e-3).unwrap();
    config.ranks = ranks.clone();
    let save = |dir: &Path| model.save(&params, dir).map_err(Error::stage);
    let mut run = if ranks.leads() {
        let output = OutputDir::take(dir, false, &config.resume).unwrap();
        Run::open(output, &config, &options, save).unwrap()
    } else {
        Run::follow(dir.to_owned(), None, &config, RunControl::default()).unwrap()
    };
    let mut updater = config.updater(&params, 3 * method.updates_per_phase()).unwrap();
    let (method, watch) = (&mut method, &mut watch);
    let ending = if served {
        let mut served = Served { inner: local, versions: Vec::new() };
        let ending = on_policy.train(method, &mut served, watch, &mut updater, &mut run);
        assert_eq!(served.versions, [0, 1, 2]);
        ending?
    } else {
        on_policy.train(method, &mut local, watch, &mut updater, &mut run)?
    };
    let flat =
        params.iter().map(|(_, param)| param.tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap());
    Ok(Done {
        ending,
        steps: run.state().global_step,
        learning_rate_scale: updater.learning_rate_scale(),
        weights: flat.flatten().collect(),
    })
}

/// What each of so many ranks comes to.
fn on<T: Send>(count: usize, work: impl Fn(&Ranks, &Path) -> T + Sync) -> Vec<T> {
    let dir = tempfile::tempdir().unwrap();
    let (place, work) = (dir.path().join("out"), &work);
    thread::scope(|scope| {
        let start = |ranks: Ranks| {
            scope.spawn({
                let place = place.clone();
                move || work(&ranks, &place)
            })
        };
        let handles: Vec<_> = threads(count).into_iter().map(start).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    })
}

/// A weight is NaN.
fn poison(params: &Params) {
    let norm = params.require("model.norm.weight").unwrap();
    norm.set(&(norm.tensor().detach() * f64::NAN).unwrap()).unwrap();
}

#[test]
fn a_policy_that_became_nan_on_one_rank_is_taken_back_on_all() {
    // After the first phase, as an optimizer that overflows leaves it: the updates looked well, and completions cannot be
    // sampled. Or when those of the second one have been, and the loss is NaN.
    for (number, moment, what) in
        [(0, When::After, "the model's logits are not finite"), (1, When::Before, "the loss is NaN")]
    {
        for count in [1, 2] {
            let all = on(count, |ranks, dir| {
                let mut look = |phase: &Phase<'_>, when: When, params: &Params| {
                    if (phase.number, when) == (number, moment) && ranks.rank() + 1 == ranks.size() {
                        poison(params);
                    }
                };
                train(ranks, dir, false, &mut look).unwrap()
            });
            for Done { ending, steps, learning_rate_scale, weights } in &all {
                let [(phase, alarm)] = ending.alarms.as_slice() else { panic!("{:?}", ending.alarms) };
                assert_eq!((*phase, alarm.action, alarm.rule.as_str()), (1, Action::RollBack, "not_finite"));
                assert!(alarm.reason.contains(what), "{}", alarm.reason);
                assert_eq!(ending.outcome, Outcome::Completed);
                assert_eq!(*learning_rate_scale, 0.5);
                // The phase after it learned from completions again.
                assert_eq!(*steps, 2 * 2);
                assert!(weights.iter().all(|value| value.is_finite()));
                assert_eq!(*weights, all[0].weights);
            }
        }
    }
}

#[test]
fn ratios_are_against_the_policy_whoever_sampled() {
    let run = |count: usize, served: bool| {
        let mut all = on(count, |ranks, dir| {
            let mut look = |phase: &Phase<'_>, _: When, _: &Params| {
                for (completion, old) in phase.rollouts.completions.iter().zip(phase.old_log_probs) {
                    for (behaviour, old) in completion.behaviour_log_probs.iter().zip(old) {
                        let expected = if served { APART } else { 0.0 };
                        assert!((old - behaviour - expected).abs() < 1e-4, "{old} {behaviour}");
                    }
                }
            };
            train(ranks, dir, served, &mut look).unwrap()
        });
        all.swap_remove(0).weights
    };
    let own = run(1, false);
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    for (count, served) in [(1, true), (2, false), (2, true)] {
        let weights = run(count, served);
        let apart = norm(&mut own.iter().zip(&weights).map(|(a, b)| a - b)) / norm(&mut own.iter().copied());
        assert!(apart < 1e-5, "{count} ranks, served: {served}: {apart:e}");
        assert_eq!(weights, run(count, served), "{count} ranks, twice");
    }
}
