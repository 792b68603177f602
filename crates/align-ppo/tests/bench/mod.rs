//! Completions of a tiny golden model, with all that a phase needs to learn from them.

use std::path::Path;
use std::sync::Arc;

use align_data::{Origin, PromptOnly, PromptTask, TemplateArguments, TokenizedTask};
use align_kernels::Params;
use align_models::generation::GenerationOptions;
use align_models::{CausalLm, ModelDir};
use align_ppo::{
    GroupAlgorithm, GroupConfig, GroupOptions, GroupSetting, GroupTraining, Learned, Method, Phase, Prompt,
    Rollout, Rollouts, log_probs,
};
use align_train::{Curve, OptimizerConfig, Schedule, Updater};
use candle_core::Device;

pub(crate) const ALGORITHMS: [GroupAlgorithm; 7] = [
    GroupAlgorithm::Grpo,
    GroupAlgorithm::DrGrpo,
    GroupAlgorithm::Dapo,
    GroupAlgorithm::Gspo,
    GroupAlgorithm::Cispo,
    GroupAlgorithm::Rloo,
    GroupAlgorithm::ReinforcePp,
];

pub(crate) fn model() -> ModelDir {
    ModelDir::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/golden/models/llama")).unwrap()
}

/// A model under training, with all that a phase needs.
pub(crate) struct Bench {
    pub(crate) params: Params,
    pub(crate) tasks: Vec<TokenizedTask>,
    pub(crate) rollouts: Rollouts,
    pub(crate) reference: Vec<Vec<f32>>,
}

impl Bench {
    /// Two prompts with four completions each.
    pub(crate) fn new() -> Self {
        let params = model().load(&Device::Cpu).unwrap().tracked_copy().unwrap();
        let tokens = |from: u32, n: u32| (0..n).map(|i| 5 + (from * 31 + i * 17) % 200).collect::<Vec<u32>>();
        let task = |row: usize| {
            let prompt = PromptOnly {
                prompt: "Question?".into(),
                template: TemplateArguments::default(),
                origin: Origin::in_code(row),
            };
            TokenizedTask {
                task: PromptTask { prompt, reference: None },
                prompt_is_cut: false,
                tokens: tokens(row as u32, 6),
            }
        };
        let tasks: Vec<TokenizedTask> = (0..2).map(task).collect();
        let prompts = tasks
            .iter()
            .enumerate()
            .map(|(row, task)| Prompt { row, tokens: Arc::from(task.tokens.as_slice()) });
        let completion = |number: u32| Rollout {
            tokens: tokens(10 + number, 3 + number % 4),
            behaviour_log_probs: Vec::new(),
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
            completion.behaviour_log_probs.clone_from(log_probs);
        }
        bench
    }

    /// In groups of two instead.
    pub(crate) fn in_pairs() -> Self {
        let mut bench = Self::new();
        bench.rollouts.prompts = [0, 0, 1, 1].map(|prompt| bench.rollouts.prompts[prompt].clone()).to_vec();
        bench.rollouts.num_generations = 2;
        bench
    }

    pub(crate) fn policy(&self) -> CausalLm {
        CausalLm::new(model().decoder_config(), &self.params).unwrap()
    }

    /// What the policy now says of the completions' tokens.
    pub(crate) fn log_probs(&self) -> Vec<Vec<f32>> {
        let view = CausalLm::new(model().decoder_config(), &self.params.view()).unwrap();
        log_probs(&view, &self.rollouts, 1.0).unwrap()
    }

    /// What was recorded of the completions.
    pub(crate) fn recorded(&self) -> Vec<Vec<f32>> {
        self.rollouts.completions.iter().map(|it| it.behaviour_log_probs.clone()).collect()
    }

    pub(crate) fn updater(&self) -> Updater {
        let schedule =
            Schedule { curve: Curve::Constant, learning_rate: 1e-3, warmup_steps: 0, total_steps: 100 };
        Updater::new(&self.params, OptimizerConfig::default(), schedule, Some(1.0)).unwrap()
    }

    pub(crate) fn learn(&self, method: &mut dyn Method, scores: &[f64]) -> Learned {
        let (rollouts, tasks) = (&self.rollouts, self.tasks.as_slice());
        let old = self.recorded();
        let (old_log_probs, reference_log_probs) = (&old, &self.reference);
        let phase = Phase { number: 0, rollouts, tasks, scores, old_log_probs, reference_log_probs };
        method.learn(&phase, &mut self.updater()).unwrap()
    }
}

pub(crate) fn config(algorithm: GroupAlgorithm, options: &GroupOptions) -> align_train::Result<GroupConfig> {
    let options =
        GroupOptions { num_generations: Some(options.num_generations.unwrap_or(4)), ..options.clone() };
    let generation = GenerationOptions::sampled(8);
    options.check(
        algorithm,
        &GroupSetting {
            generation: &generation,
            per_device_train_batch_size: 8,
            gradient_accumulation_steps: 1,
            ranks: 1,
        },
    )
}

pub(crate) fn training(bench: &Bench, algorithm: GroupAlgorithm, options: &GroupOptions) -> GroupTraining {
    GroupTraining::new(bench.policy(), config(algorithm, options).unwrap())
}

pub(crate) const SCORES: [f64; 8] = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
