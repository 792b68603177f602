//! What is recorded while completions are sampled is what training finds for them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use align_data::Tokenizer;
use align_models::generation::GenerationOptions;
use align_models::{CausalLm, ModelDir};
use align_ppo::{Prompt, Rollouts, Sampling, log_probs};
use candle_core::Device;

fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/models/tiny-chat")
}

fn model() -> (CausalLm, Tokenizer) {
    let dir = ModelDir::open(&model_dir()).unwrap();
    let params = dir.load(&Device::Cpu).unwrap();
    (CausalLm::new(dir.decoder_config(), &params).unwrap(), Tokenizer::load(model_dir()).unwrap())
}

fn sampled(options: GenerationOptions, num_generations: usize, seed: u64) -> (CausalLm, Rollouts) {
    let (model, tokenizer) = model();
    let prompts =
        ["How do I bake bread?", "What is two plus three?", "Tell me about the weather in Dunmoor."];
    let prompt = |(row, text): (usize, &&str)| {
        let tokens = tokenizer.encode(&format!("<|user|>{text}</s><|assistant|>")).unwrap();
        Prompt { row, tokens: Arc::from(tokens) }
    };
    let prompts = prompts.iter().enumerate().map(prompt).collect();
    // No token ends a text: samples are as long as they may be.
    let sampling = Sampling::new(options, Vec::new()).unwrap();
    let rollouts = sampling.rollouts(&model, prompts, num_generations, &tokenizer, seed).unwrap();
    (model, rollouts)
}

#[test]
fn recorded_log_probs_are_those_of_teacher_forcing_over_long_samples() {
    for temperature in [1.0, 0.7, 1.3] {
        let options = GenerationOptions { temperature, ..GenerationOptions::sampled(400) };
        let (model, rollouts) = sampled(options, 2, 7);
        let forced = log_probs(&model, &rollouts, temperature).unwrap();
        assert_eq!(forced.len(), 6);
        let mut worst = 0.0f32;
        for (completion, forced) in rollouts.completions.iter().zip(&forced) {
            assert_eq!((completion.behaviour_log_probs.len(), forced.len()), (400, 400));
            for (recorded, forced) in completion.behaviour_log_probs.iter().zip(forced) {
                worst = worst.max((recorded - forced).abs());
            }
        }
        assert!(worst < 1e-4, "at temperature {temperature}: {worst:.1e}");
    }
}

#[test]
fn the_seed_decides_what_is_said() {
    let texts = |seed| -> Vec<String> {
        let (_, rollouts) = sampled(GenerationOptions::sampled(12), 2, seed);
        rollouts.completions.into_iter().map(|completion| completion.text).collect()
    };
    assert_eq!(texts(1), texts(1));
    assert_ne!(texts(1), texts(2));
}

#[test]
fn settings_that_would_make_training_off_policy_are_refused() {
    let refused = |options: GenerationOptions| Sampling::new(options, Vec::new()).unwrap_err().to_string();
    let usual = || GenerationOptions::sampled(8);
    assert!(refused(GenerationOptions::greedy(8)).contains("`temperature` = 0"));
    let penalty = GenerationOptions { repetition_penalty: 1.1, ..usual() };
    assert!(refused(penalty).contains("`repetition_penalty` = 1.1"));
    assert!(refused(GenerationOptions { min_new_tokens: 3, ..usual() }).contains("`min_new_tokens` = 3"));
    assert!(refused(GenerationOptions { top_p: 0.0, ..usual() }).contains("top_p"));
    // Their log-probs would be of what was not sampled from: of (0.9, 0.1) against (0.5, 0.5), cut to its first token,
    // the KL would be ln 1.8 = 0.588 and not 0.368.
    assert!(refused(GenerationOptions { top_k: 40, ..usual() }).contains("`top_k` = 40: cuts the samples"));
    assert!(refused(GenerationOptions { top_p: 0.9, ..usual() }).contains("`top_p` = 0.9: cuts the samples"));
}
