//! Text is a function of prompt, seed and number, whatever was decoded beside it; log-probs are those of
//! scoring.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use align_kernels::{Params, Precision};
use align_models::generation::{
    Completion, GenerationOptions, Streams, generate, generate_groups, generate_in_batches,
};
use align_models::{CausalLm, DecoderConfig, Error, Model, ModelDir, Packed, random_weights};
use candle_core::Device;

/// Tokens that end a text: about a twelfth of what the model samples.
const EOS: [u32; 5] = [3, 14, 15, 92, 65];

fn model(sliding_window: Option<usize>) -> CausalLm {
    let config = DecoderConfig::from_json(&serde_json::json!({
        "model_type": "mistral",
        "vocab_size": 101,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 6,
        "rms_norm_eps": 1e-5,
        "max_position_embeddings": 128,
        "sliding_window": sliding_window,
        "tie_word_embeddings": true,
        "initializer_range": 0.3,
    }));
    let config = config.unwrap();
    let weights = random_weights(&config, 11, &Device::Cpu).unwrap();
    CausalLm::new(&config, &Params::frozen(&weights)).unwrap()
}

/// Prompt i, of 1 to 20 tokens.
fn prompt(i: u32) -> Vec<u32> {
    (0..1 + (i * 7) % 20).map(|j| (i * 31 + j * 17) % 101).collect()
}

fn texts(completions: &[Completion]) -> Vec<&[u32]> {
    completions.iter().map(|completion| completion.tokens.as_slice()).collect()
}

#[test]
fn a_text_does_not_depend_on_what_it_is_batched_with() {
    let (model, options) = (model(None), GenerationOptions::sampled(24));
    let prompts: Vec<Vec<u32>> = (0..150).map(prompt).collect();
    let together = generate(&model, &prompts, &EOS, &options, 7).unwrap();
    for number in [0, 1, 63, 64, 149] {
        let mut others = vec![vec![9]; number];
        others.push(prompts[number].clone());
        let beside_others = generate(&model, &others, &EOS, &options, 7).unwrap();
        assert_eq!(together[number].tokens, beside_others[number].tokens, "completion {number}");
        let pairs = together[number].log_probs.iter().zip(&beside_others[number].log_probs);
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "completion {number}: {a} is not {b}"));
    }
}

#[test]
fn completions_of_a_group_are_those_of_the_prompt_repeated_and_alone() {
    // More completions than are decoded at a time: some wait until others are complete.
    let (model, options, size) = (model(None), GenerationOptions::sampled(12), 70);
    let prompts = [prompt(5), prompt(8)];
    let groups = generate_groups(&model, &prompts, size, &EOS, &options, 2).unwrap();
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [size; 2]);
    let repeated: Vec<Vec<u32>> = prompts.iter().flat_map(|prompt| vec![prompt.clone(); size]).collect();
    assert_eq!(groups.concat(), generate(&model, &repeated, &EOS, &options, 2).unwrap());
    // A part, which may begin within a group, from the streams that it has in the whole.
    for first in [size, size + 3] {
        let streams = Streams { seed: 2, first: first as u64 };
        let part = generate_groups(&model, &prompts[1..], 2 * size - first, &EOS, &options, streams).unwrap();
        let tokens = |all: &[Completion]| all.iter().map(|it| it.tokens.clone()).collect::<Vec<_>>();
        assert_eq!(tokens(&part[0]), tokens(&groups.concat()[first..]));
    }
    for number in [0, 1, 69, 70, 139] {
        // The prompt before differs, so this one is prefilled for itself.
        let mut others = vec![vec![9]; number];
        others.push(repeated[number].clone());
        let alone = generate(&model, &others, &EOS, &options, 2).unwrap().remove(number);
        assert_eq!(groups[number / size][number % size].tokens, alone.tokens, "completion {number}");
    }
}

#[test]
fn log_probs_are_those_of_scoring() {
    for window in [None, Some(5)] {
        let model = model(window);
        let prompts: Vec<Vec<u32>> = (0..20).map(prompt).collect();
        let groups = generate_groups(&model, &prompts, 4, &EOS, &GenerationOptions::sampled(30), 1).unwrap();
        let mut packed = Packed::default();
        for (prompt, group) in prompts.iter().zip(&groups) {
            packed.push_completions(prompt, &texts(group));
        }
        let scored = model.token_log_probs(&packed).unwrap().to_vec1::<f32>().unwrap();
        let sampled: Vec<f32> =
            groups.iter().flatten().flat_map(|completion| completion.log_probs.clone()).collect();
        assert_eq!(sampled.len(), scored.len());
        for (sampled, scored) in sampled.iter().zip(&scored) {
            assert!((sampled - scored).abs() < 1e-4, "window {window:?}: {sampled} is not {scored}");
        }
    }
}

#[test]
fn a_completion_ends_with_its_first_end_token_or_at_its_longest() {
    let model = model(None);
    let options = GenerationOptions { min_new_tokens: 3, ..GenerationOptions::sampled(20) };
    let prompts: Vec<Vec<u32>> = (0..100).map(prompt).collect();
    let completions = generate(&model, &prompts, &EOS, &options, 4).unwrap();
    for completion in &completions {
        let end = completion.tokens.iter().position(|token| EOS.contains(token));
        assert_eq!(completion.finished, end.is_some());
        assert_eq!(completion.tokens.len(), end.map_or(20, |end| end + 1));
        assert_eq!(completion.log_probs.len(), completion.tokens.len());
        assert!(completion.tokens.len() > 3);
    }
    let finished = completions.iter().filter(|completion| completion.finished).count();
    assert!((20..100).contains(&finished), "{finished} of 100 ended by themselves");
}

#[test]
fn one_token_each_needs_no_cache() {
    let (model, prompts) = (model(None), [prompt(1), prompt(2)]);
    let groups = generate_groups(&model, &prompts, 3, &[], &GenerationOptions::sampled(1), 6).unwrap();
    let longer = generate_groups(&model, &prompts, 3, &[], &GenerationOptions::sampled(4), 6).unwrap();
    for (one, four) in groups.iter().flatten().zip(longer.iter().flatten()) {
        assert_eq!((one.tokens.as_slice(), one.finished), (&four.tokens[..1], false));
    }
    assert_eq!(groups.iter().flatten().count(), 6);
}

#[test]
fn nothing_asked_is_nothing_given() {
    let (model, options) = (model(None), GenerationOptions::greedy(5));
    assert_eq!(generate(&model, &[], &EOS, &options, 0).unwrap(), []);
    let none = generate_groups(&model, &[prompt(1), prompt(2)], 0, &EOS, &options, 0).unwrap();
    assert_eq!(none, [vec![], vec![]]);
}

#[test]
fn batches_come_in_order_and_are_all() {
    let (model, options) = (model(None), GenerationOptions::sampled(20));
    let prompts: Vec<Vec<u32>> = (0..90).map(prompt).collect();
    let batches: Vec<Vec<Completion>> =
        generate_in_batches(&model, &prompts, 1, &EOS, &options, 7).unwrap().map(Result::unwrap).collect();
    assert!(batches.len() > 1 && batches.iter().all(|batch| !batch.is_empty()));
    assert_eq!(batches.concat(), generate(&model, &prompts, &EOS, &options, 7).unwrap());
    let thrice: Vec<Vec<u32>> = prompts.iter().flat_map(|prompt| [(); 3].map(|()| prompt.clone())).collect();
    let batches = generate_in_batches(&model, &prompts, 3, &EOS, &options, 7).unwrap();
    let repeated: Vec<Completion> = batches.flat_map(Result::unwrap).collect();
    assert_eq!(repeated, generate(&model, &thrice, &EOS, &options, 7).unwrap());
    assert_eq!(generate_in_batches(&model, &prompts, 0, &EOS, &options, 7).unwrap().count(), 0);
}

#[test]
fn a_model_of_nan_gives_no_text() {
    let config = model(None).decoder().config().clone();
    let mut weights = random_weights(&config, 11, &Device::Cpu).unwrap();
    for (value, name) in
        [(f32::NAN, "model.norm.weight"), (f32::INFINITY, "model.layers.1.mlp.down_proj.weight")]
    {
        let shape = weights[name].shape().clone();
        weights.insert(name.to_owned(), candle_core::Tensor::full(value, shape, &Device::Cpu).unwrap());
        let broken = CausalLm::new(&config, &Params::frozen(&weights)).unwrap();
        for options in [GenerationOptions::greedy(4), GenerationOptions::sampled(4)] {
            let error = generate(&broken, &[prompt(1), prompt(2)], &EOS, &options, 7).unwrap_err();
            assert!(matches!(error, Error::NotFinite { completion: 0, token: 0 }), "{name}: {error}");
        }
    }
}

#[test]
fn more_completions_than_memory_holds_are_refused() {
    let (model, options) = (model(None), GenerationOptions::sampled(1));
    let refused = |each: usize| {
        let error = generate_groups(&model, &[prompt(1), prompt(2)], each, &EOS, &options, 0).unwrap_err();
        assert!(error.to_string().contains("1048576 completions"), "{error}");
    };
    [usize::MAX, usize::MAX / 2 + 1, 1 << 20].into_iter().for_each(refused);
    let huge = generate_in_batches(&model, &[vec![1; 100]], usize::MAX, &EOS, &options, 0).err().unwrap();
    assert!(huge.to_string().contains("take fewer"), "{huge}");
}

#[test]
fn prompts_that_cannot_be_continued_are_named() {
    let model = model(None);
    let refused = |prompts: &[Vec<u32>], options: &GenerationOptions, complaint: &str| {
        let plain = generate(&model, prompts, &EOS, options, 0).unwrap_err().to_string();
        let grouped = generate_groups(&model, prompts, 2, &EOS, options, 0).unwrap_err().to_string();
        assert!(plain.contains(complaint) && plain == grouped, "{plain}\n{grouped}");
    };
    refused(&[vec![1], vec![]], &GenerationOptions::greedy(5), "prompt 1 has no tokens");
    refused(&[vec![1; 120]], &GenerationOptions::greedy(9), "prompt 0 has 120 tokens");
    refused(&[vec![1]], &GenerationOptions::greedy(usize::MAX), "max_position_embeddings 128");
    refused(&[vec![1]], &GenerationOptions::greedy(0), "`max_new_tokens` must be at least 1");
}

#[test]
fn a_model_that_is_only_run_gives_the_same_bits_from_half_the_memory() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    // Of f32, whose embedding is no bf16 and stays as it is, and of bf16.
    for (model, is_half) in [("models/tiny-chat", false), ("golden/models/llama-sharded-bf16", true)] {
        let dir = ModelDir::open(&fixtures.join(model)).unwrap().in_precision(Precision::Bf16);
        let [whole, half] = [dir.clone(), dir.clone().to_run()].map(|dir| dir.model(&Device::Cpu).unwrap());
        assert_eq!(whole.params.blocks().len(), 0);
        let matrices = half.params.iter().filter(|(_, param)| param.tensor().rank() == 2).count();
        assert_eq!(matrices, usize::from(!is_half), "{model}");
        let held: usize = half.params.blocks().map(|(_, blocks)| blocks.shape().0 * blocks.shape().1).sum();
        assert!(held > 0 && whole.params.elem_count() == half.params.elem_count(), "{model}");
        // Made of what was loaded it is the same model, whatever it is called by.
        assert_eq!(whole.clone().to_run().unwrap().hash().unwrap(), half.hash().unwrap(), "{model}");

        let prompts: Vec<Vec<u32>> = (0..40).map(|i| (3..20 + i * 2).map(|id| id % 50).collect()).collect();
        let options = GenerationOptions { max_new_tokens: 12, ..GenerationOptions::default() };
        let said = |model: &Model| {
            let lm = model.causal_lm().unwrap();
            let completions = generate(&lm, &prompts, &[2], &options, 7).unwrap();
            let mut packed = Packed::default();
            for (prompt, completion) in prompts.iter().zip(&completions) {
                packed.push_completions(prompt, &[&completion.tokens]);
            }
            let scored = lm.token_log_probs(&packed).unwrap().to_vec1::<f32>().unwrap();
            (completions, scored)
        };
        let (whole, half) = (said(&whole), said(&half));
        assert_eq!(whole, half, "{model}");
        // What is recorded is what is scored. A last bit of f32, in which the two differ, is one of bf16 where a number lies
        // between two of those: seldom, so that the mean stays small.
        let recorded = half.0.iter().flat_map(|completion| completion.log_probs.clone());
        let apart: Vec<f32> = recorded.zip(&half.1).map(|(a, b)| (a - b).abs()).collect();
        let worst = apart.iter().fold(0f32, |worst, apart| worst.max(*apart));
        let mean = apart.iter().sum::<f32>() / apart.len() as f32;
        assert!(apart.len() > 300 && worst < 4e-2 && mean < 4e-4, "{model}: {worst} {mean}");
    }
}
