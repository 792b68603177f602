//! Logits, log-probs, gradient norms and greedy text against transformers, on every language model of
//! `fixtures/golden/models`, by name; or of the folder that `ALIGN_GOLDEN_MODELS` names, of the same layout, those that are
//! supported, with a count of those that are not.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it fails and reports what it ran"
)]

mod gguf;
mod models;

use std::collections::BTreeSet;

use align_kernels::{Params, Segment};
use align_models::generation::{GenerationOptions, generate};
use align_models::{CausalLm, DecoderConfig, ModelDir, Packed, Stream};
use candle_core::{DType, Device, Tensor};

use models::{Golden, NAMES, goldens};

const CPU: Device = Device::Cpu;

/// The largest difference of numbers, all of them finite.
fn worst<'a>(ours: &[f32], theirs: impl IntoIterator<Item = &'a f32>) -> f32 {
    let theirs: Vec<f32> = theirs.into_iter().copied().collect();
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).fold(0.0, |worst, (a, b)| {
        assert!(a.is_finite() && b.is_finite(), "{a} for {b}");
        worst.max((a - b).abs())
    })
}

impl Golden {
    fn tracked(&self) -> (Params, CausalLm) {
        let params = self.dir.load(&CPU).unwrap().tracked_copy().unwrap();
        let model = CausalLm::new(self.dir.decoder_config(), &params).unwrap();
        (params, model)
    }

    fn frozen(&self) -> CausalLm {
        CausalLm::new(self.dir.decoder_config(), &self.dir.load(&CPU).unwrap()).unwrap()
    }

    /// All sequences in one stream, every token but the first a label.
    fn packed(&self) -> Packed {
        let mut packed = Packed::default();
        self.sequences.iter().for_each(|tokens| packed.push_sequence(tokens, &vec![true; tokens.len()]));
        packed
    }
}

#[test]
fn logits_and_log_probs_are_those_of_transformers() {
    for golden in goldens() {
        let model = golden.frozen();
        let logits = golden.tensors["logits"].to_vec3::<f32>().unwrap();
        let log_probs = golden.tensors["logprobs"].to_vec2::<f32>().unwrap();
        let packed = golden.packed();
        let rows: Vec<u32> = (0..packed.stream.tokens.len() as u32).collect();
        let ours =
            model.next_token_logits(&model.decoder().hidden(&packed.stream, &rows).unwrap(), 1.0).unwrap();
        let ours = ours.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let theirs =
            golden.sequences.iter().zip(&logits).flat_map(|(tokens, logits)| &logits[..tokens.len()]);
        let worst_logit = worst(&ours, theirs.flatten());

        let ours = model.token_log_probs(&packed).unwrap().to_vec1::<f32>().unwrap();
        let theirs =
            golden.sequences.iter().zip(&log_probs).flat_map(|(tokens, row)| &row[..tokens.len() - 1]);
        let worst_log_prob = worst(&ours, theirs);
        println!(
            "{}: worst logit difference {worst_logit:.1e}, worst log-prob difference {worst_log_prob:.1e}",
            golden.name
        );
        assert!(worst_logit < 1e-4 && worst_log_prob < 1e-4, "{}", golden.name);
    }
}

#[test]
fn hidden_states_of_some_rows_are_those_of_all() {
    for golden in goldens() {
        let (model, packed) = (golden.frozen(), golden.packed());
        let tokens = packed.stream.tokens.len() as u32;
        let all: Vec<u32> = (0..tokens).collect();
        let all = model.decoder().hidden(&packed.stream, &all).unwrap();
        for rows in [vec![tokens - 1], vec![2, 2, 0, tokens - 1, 1], (1..tokens).collect()] {
            let some = model.decoder().hidden(&packed.stream, &rows).unwrap();
            let same = all.index_select(&Tensor::new(rows.as_slice(), &CPU).unwrap(), 0).unwrap();
            let flat = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let worst = worst(&flat(&some), &flat(&same));
            assert!(worst < 1e-5, "{}: {worst} at {rows:?}", golden.name);
        }
        assert!(model.decoder().hidden(&packed.stream, &[tokens]).is_err());
    }
}

#[test]
fn every_parameter_has_the_gradient_norm_of_torch() {
    for golden in goldens() {
        let (params, model) = golden.tracked();
        let loss = model.token_log_probs(&golden.packed()).unwrap().mean_all().unwrap().neg().unwrap();
        let value = f64::from(loss.to_scalar::<f32>().unwrap());
        assert!((value - golden.expected["loss"].as_f64().unwrap()).abs() < 1e-4);
        loss.backward().unwrap();
        let norms = golden.expected["grad_norms"].as_object().unwrap();
        let table = golden.dir.decoder_config().tensors();
        assert_eq!(
            norms.keys().collect::<BTreeSet<_>>(),
            table.iter().map(|t| &t.name).collect(),
            "{}",
            golden.name
        );
        let mut worst = 0f64;
        for tensor in table {
            let squares = tensor.params.iter().map(|param| {
                let buffer = params.require(&param.name).unwrap().grad_buffer().unwrap();
                let grad = buffer.get().unwrap_or_else(|| panic!("{} has no gradient", param.name));
                grad.to_dtype(DType::F64)
                    .unwrap()
                    .sqr()
                    .unwrap()
                    .sum_all()
                    .unwrap()
                    .to_scalar::<f64>()
                    .unwrap()
            });
            let (norm, expected) = (squares.sum::<f64>().sqrt(), norms[&tensor.name].as_f64().unwrap());
            // What cancels is left with rounding.
            let error = ((norm - expected).abs() - 1e-5).max(0.0) / expected;
            assert!(error < 1e-3, "{} {}: {norm} is not {expected}", golden.name, tensor.name);
            worst = worst.max(error);
        }
        println!("{}: worst relative difference of a gradient norm {worst:.1e}", golden.name);
    }
}

#[test]
fn greedy_text_is_that_of_transformers() {
    for golden in goldens() {
        let model = golden.frozen();
        let prompt =
            golden.tensors["generate_input_ids"].to_dtype(DType::U32).unwrap().to_vec2::<u32>().unwrap();
        let eos = golden.dir.eos_token_ids().unwrap();
        let text = |min_new_tokens: usize, key: &str| {
            let options = GenerationOptions { min_new_tokens, ..GenerationOptions::greedy(20) };
            // Beside another prompt, which must not matter.
            let prompts = [vec![5, 6, 7], prompt[0].clone()];
            let ours = generate(&model, &prompts, &eos, &options, 0).unwrap().remove(1).tokens;
            let theirs: Vec<u32> = serde_json::from_value(golden.expected[key].clone()).unwrap();
            assert_eq!(ours, theirs, "{} {key}", golden.name);
        };
        text(20, "generated_min_new_tokens_20");
        text(0, "generated_with_eos_stop");
    }
}

#[test]
fn configs_of_transformers_4_and_5_mean_the_same() {
    for golden in goldens() {
        let old = golden.dir.path().join("config.v4.json");
        // A folder of somebody's own need not have both; Ministral 3 is younger than transformers 5.
        let has_both = NAMES.contains(&golden.name.as_str()) && golden.name != "ministral3";
        if !has_both && !old.is_file() {
            println!("{}: no config of transformers 4", golden.name);
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(old, dir.path().join("config.json")).unwrap();
        let config = ModelDir::open(dir.path()).unwrap();
        assert_eq!(config.decoder_config(), golden.dir.decoder_config(), "{}", golden.name);
    }
}

/// The same pairs as sequences of their own, prompt repeated.
fn as_two_sequences(pairs: &[(Vec<u32>, [Vec<u32>; 2])]) -> Packed {
    let mut packed = Packed::default();
    for (prompt, completions) in pairs {
        for completion in completions {
            let tokens = [prompt.as_slice(), completion].concat();
            let mask: Vec<bool> = (0..tokens.len()).map(|i| i >= prompt.len()).collect();
            packed.push_sequence(&tokens, &mask);
        }
    }
    packed
}

#[test]
fn a_shared_prompt_changes_neither_log_probs_nor_gradients() {
    for golden in goldens() {
        let vocab = golden.dir.decoder_config().vocab as u32;
        let tokens = |n: u32, seed: u32| {
            (0..n).map(|i| 4 + (i * 7919 + seed * 104_729) % (vocab - 4)).collect::<Vec<_>>()
        };
        let pairs =
            [(tokens(9, 1), [tokens(6, 2), tokens(3, 3)]), (tokens(2, 4), [tokens(1, 5), tokens(8, 6)])];
        let mut shared = Packed::default();
        for (prompt, [chosen, rejected]) in &pairs {
            shared.push_completions(prompt, &[chosen, rejected]);
        }
        let run = |packed: &Packed| {
            let (params, model) = golden.tracked();
            let log_probs = model.sequence_log_probs(packed).unwrap();
            let weights = Tensor::new(&[0.3f32, -0.2, 0.5, -0.7], &CPU).unwrap();
            (&log_probs * weights).unwrap().sum_all().unwrap().backward().unwrap();
            (log_probs.to_vec1::<f32>().unwrap(), params)
        };
        let ((a, ours), (b, theirs)) = (run(&shared), run(&as_two_sequences(&pairs)));
        assert_eq!((a.len(), b.len()), (4, 4));
        a.iter()
            .zip(&b)
            .for_each(|(a, b)| assert!((a - b).abs() < 1e-5 * b.abs(), "{}: {a} is not {b}", golden.name));
        let mut worst = 0f32;
        assert!(ours.iter().map(|(name, _)| name).eq(theirs.iter().map(|(name, _)| name)));
        for ((name, ours), (_, theirs)) in ours.iter().zip(theirs.iter()) {
            let grad = |p: &align_kernels::Param| p.grad_buffer().unwrap().get().unwrap();
            let norm = |t: Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap().sqrt();
            let error = norm((grad(ours) - grad(theirs)).unwrap()) / norm(grad(theirs));
            worst = worst.max(error);
            assert!(error < 1e-5, "{} {name}: {error}", golden.name);
        }
        println!(
            "{}: worst relative gradient difference of shared and separate prompts {worst:.1e}",
            golden.name
        );
    }
}

#[test]
fn sampled_log_probs_are_teacher_forced_log_probs() {
    let golden = &goldens()[0];
    let model = golden.frozen();
    let options = GenerationOptions { min_new_tokens: 40, ..GenerationOptions::sampled(40) };
    let prompts = [vec![7, 8, 9, 10], vec![11]];
    let completions = generate(&model, &prompts, &golden.dir.eos_token_ids().unwrap(), &options, 1).unwrap();
    for (prompt, completion) in prompts.iter().zip(&completions) {
        let mut packed = Packed::default();
        packed.push_completions(prompt, &[&completion.tokens]);
        let forced = model.token_log_probs(&packed).unwrap().to_vec1::<f32>().unwrap();
        // EOS was forbidden while sampling: its share is missing from the sampler's normaliser.
        let eos_share = |i: usize| {
            let mut seen = Stream::default();
            seen.tokens = [prompt.as_slice(), &completion.tokens[..i]].concat();
            seen.positions = (0..seen.tokens.len() as u32).collect();
            let all = 0..seen.tokens.len();
            seen.segments = vec![Segment { queries: all.clone(), keys: vec![all.clone()] }];
            let hidden = model.decoder().hidden(&seen, &[all.end as u32 - 1]).unwrap();
            let logits = model.next_token_logits(&hidden, 1.0).unwrap().to_vec2::<f32>().unwrap();
            let total: f32 = logits[0].iter().map(|l| l.exp()).sum();
            logits[0][golden.dir.eos_token_ids().unwrap()[0] as usize].exp() / total
        };
        assert_eq!((completion.log_probs.len(), forced.len()), (40, 40));
        for (i, (sampled, forced)) in completion.log_probs.iter().zip(&forced).enumerate() {
            assert!(
                (sampled + (1.0 - eos_share(i)).ln() - forced).abs() < 1e-4,
                "token {i}: {sampled} is not {forced}"
            );
        }
    }
}

#[test]
fn what_is_saved_loads_with_the_same_logits() {
    for golden in goldens() {
        let dir = tempfile::tempdir().unwrap();
        let (params, model) = golden.tracked();
        golden.dir.save(&params, dir.path()).unwrap();
        let again = ModelDir::open(dir.path()).unwrap();
        let config: DecoderConfig = again.decoder_config().clone();
        let reloaded = CausalLm::new(&config, &again.load(&CPU).unwrap()).unwrap();
        let packed = golden.packed();
        assert_eq!(
            model.token_log_probs(&packed).unwrap().to_vec1::<f32>().unwrap(),
            reloaded.token_log_probs(&packed).unwrap().to_vec1::<f32>().unwrap()
        );
    }
}
