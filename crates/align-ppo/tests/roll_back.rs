//! A policy that computes nothing any more is noticed where it is asked for completions, and taken back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use align_data::{
    Order, Origin, PromptOnly, PromptTask, SamplingStrategy, TemplateArguments, TokenizedTask, Tokenizer,
};
use align_kernels::Params;
use align_models::generation::GenerationOptions;
use align_models::{CausalLm, ModelDir, Packed};
use align_ppo::{
    Action, GroupAlgorithm, GroupOptions, GroupSetting, GroupTraining, Learned, Method, OnPolicy, Phase,
    Sampling, ScoreSource, Scorer, Supervisor, SupervisorOptions,
};
use align_reward::{Reward, RewardError, Task};
use align_train::{Error, Outcome, OutputDir, Result, Run, Strategy, TrainOptions, Updater};
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

/// A method after whose first phase a weight is NaN, as an optimizer that overflows leaves it: the updates looked well.
struct Poisoned {
    inner: GroupTraining,
    params: Params,
}

impl Method for Poisoned {
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
        let learned = self.inner.learn(phase, updater)?;
        if phase.number == 0 {
            let norm = self.params.require("model.norm.weight")?;
            norm.set(&(norm.tensor().detach() * f64::NAN)?)?;
        }
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

fn task(row: usize, text: &str, tokenizer: &Tokenizer) -> TokenizedTask {
    let template = TemplateArguments::default();
    let prompt = PromptOnly { prompt: text.into(), template, origin: Origin::in_code(row) };
    TokenizedTask {
        task: PromptTask { prompt, reference: None },
        prompt_is_cut: false,
        tokens: tokenizer.encode(text).unwrap(),
    }
}

#[test]
fn a_policy_that_became_nan_is_taken_back_when_it_is_asked_for_completions() {
    let model = ModelDir::open(Path::new(MODEL)).unwrap();
    let tokenizer = Tokenizer::load(Path::new(MODEL)).unwrap();
    let params = model.load(&Device::Cpu).unwrap().tracked_copy().unwrap();
    let policy = |params: &Params| CausalLm::new(model.decoder_config(), params).unwrap();
    let tasks: Vec<_> =
        ["Hello.", "Why?"].iter().enumerate().map(|(row, text)| task(row, text, &tokenizer)).collect();
    let generation = GenerationOptions::sampled(6);
    let setting = GroupSetting {
        generation: &generation,
        per_device_train_batch_size: 4,
        gradient_accumulation_steps: 1,
    };
    let options = GroupOptions { num_generations: Some(2), ..GroupOptions::default() };
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
    let mut method = Poisoned { inner: GroupTraining::new(policy(&params), config), params: params.clone() };
    let scorer = Scorer::new(vec![(1.0, ScoreSource::Texts(Box::new(ByPlace)))], 0.0).unwrap();
    let on_policy = OnPolicy {
        tasks: &tasks,
        order: Order { strategy: SamplingStrategy::Sequential, seed: 1 },
        policy: policy(&params.view()),
        reference: None,
        starts_as_its_reference: false,
        sampling: Sampling::new(generation.clone(), vec![0]).unwrap(),
        tokenizer: &tokenizer,
        scorer: &scorer,
        seed: 1,
        phases: 3,
    };
    let dir = tempfile::tempdir().unwrap();
    let options = TrainOptions { save_strategy: Strategy::No, ..TrainOptions::default() };
    let config = options.check(1e-3).unwrap();
    let output = OutputDir::take(dir.path().join("out"), false, &config.resume).unwrap();
    let save = |dir: &Path| model.save(&params, dir).map_err(Error::stage);
    let mut run = Run::open(output, &config, &options, save).unwrap();
    let mut updater = config.updater(&params, 3 * method.updates_per_phase()).unwrap();
    let ending = on_policy.train(&mut method, &mut watch, &mut updater, &mut run).unwrap();

    let [(phase, alarm)] = ending.alarms.as_slice() else { panic!("{:?}", ending.alarms) };
    assert_eq!((*phase, alarm.action, alarm.rule.as_str()), (1, Action::RollBack, "not_finite"));
    assert!(alarm.reason.contains("the model's logits are not finite"), "{}", alarm.reason);
    assert_eq!(ending.outcome, Outcome::Completed);
    assert_eq!(updater.learning_rate_scale(), 0.5);
    // The phase after it learned from completions again.
    assert_eq!(run.state().global_step, 2 * method.updates_per_phase());
    for (name, param) in params.iter() {
        let values = param.tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values.iter().all(|value| value.is_finite()), "{name}");
    }
}
