//! New tokens per second: sampling at temperature 1 from a model with random weights of the shape of a
//! small Llama, 64 new tokens each, by itself, in batches, and as a group that shares its prompt.

#![expect(clippy::unwrap_used, reason = "a benchmark stops where it fails")]

use align_kernels::Params;
use align_models::generation::{GenerationOptions, generate, generate_groups};
use align_models::{CausalLm, DecoderConfig, random_weights};
use candle_core::Device;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const NEW_TOKENS: usize = 64;

fn model() -> CausalLm {
    let config = DecoderConfig::from_json(&serde_json::json!({
        "model_type": "llama",
        "vocab_size": 32_000,
        "hidden_size": 288,
        "intermediate_size": 768,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": true,
    }));
    let config = config.unwrap();
    CausalLm::new(&config, &Params::frozen(&random_weights(&config, 1, &Device::Cpu).unwrap())).unwrap()
}

/// Prompts of 48 to 63 tokens.
fn prompts(count: u32) -> Vec<Vec<u32>> {
    let prompt = |i: u32| (0..48 + i % 16).map(|j| (i * 7919 + j * 104_729) % 32_000).collect();
    (0..count).map(prompt).collect()
}

fn decode(criterion: &mut Criterion) {
    let (model, sampled) = (model(), GenerationOptions::sampled(NEW_TOKENS));
    let mut group = criterion.benchmark_group("generate");
    group.sample_size(10);
    for batch in [1, 8, 16] {
        group.throughput(Throughput::Elements(u64::from(batch) * NEW_TOKENS as u64));
        let different = prompts(batch);
        group.bench_function(BenchmarkId::new("prompts", batch), |bencher| {
            bencher.iter(|| generate(&model, &different, &[], &sampled, 1).unwrap());
        });
        group.bench_function(BenchmarkId::new("one prompt", batch), |bencher| {
            let run = || generate_groups(&model, &different[..1], batch as usize, &[], &sampled, 1).unwrap();
            bencher.iter(run);
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
