//! Segment attention, forward and backward, against its composed form.

#![expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

use std::hint::black_box;
use std::time::Duration;

use align_kernels::{Segment, attention, composed};
use candle_core::{Device, Result, Tensor, Var};
use criterion::{Criterion, criterion_group, criterion_main};

type Attention = fn(&Tensor, &Tensor, &Tensor, &[Segment], f64, Option<usize>) -> Result<Tensor>;

const FORMS: [(&str, Attention); 2] = [
    ("composed", |q, k, v, segments, scale, window| composed(|| attention(q, k, v, segments, scale, window))),
    ("cpu", attention),
];

/// Heads, key heads and their size: those of a model with 15 million parameters, of one with 135 million.
const MODELS: [(usize, usize, usize); 2] = [(6, 6, 48), (9, 3, 64)];

/// A sequence of queries that starts at row `start` and sees `prompt` before itself.
fn segment(start: usize, len: usize, prompt: Option<std::ops::Range<usize>>) -> Segment {
    Segment { queries: start..start + len, keys: prompt.into_iter().chain([start..start + len]).collect() }
}

fn sequences(count: usize, len: usize) -> Vec<Segment> {
    (0..count).map(|i| segment(i * len, len, None)).collect()
}

/// Pairs of completions that share their prompt.
fn pairs(count: usize, prompt: usize, completion: usize) -> Vec<Segment> {
    let pair = |i: usize| {
        let start = i * (prompt + 2 * completion);
        let shared = start..start + prompt;
        [
            segment(start, prompt, None),
            segment(shared.end, completion, Some(shared.clone())),
            segment(shared.end + completion, completion, Some(shared)),
        ]
    };
    (0..count).flat_map(pair).collect()
}

/// One new token per sequence, its context in a cache.
fn decoding(count: usize, context: usize) -> Vec<Segment> {
    let step = |i: usize| Segment { queries: i..i + 1, keys: vec![i * context..(i + 1) * context] };
    (0..count).map(step).collect()
}

fn inputs(segments: &[Segment], (heads, kv_heads, dim): (usize, usize, usize)) -> [Var; 3] {
    let values = |rows: usize, heads: usize| {
        let entries = (0..rows * heads * dim).map(|i| (i * 7919 % 10_007) as f32 / 5003.5 - 1.0);
        let values = Tensor::from_iter(entries, &Device::Cpu).and_then(|x| x.reshape((rows, heads, dim)));
        Var::from_tensor(&values.expect("as many entries as the shape has")).expect("a variable of it")
    };
    let queries = segments.last().map_or(0, |last| last.queries.end);
    let keys = segments.iter().flat_map(|segment| &segment.keys).map(|range| range.end).max().unwrap_or(0);
    [values(queries, heads), values(keys, kv_heads), values(keys, kv_heads)]
}

fn bench(c: &mut Criterion, name: &str, segments: &[Segment], backward: bool) {
    for model in MODELS {
        let [q, k, v] = inputs(segments, model);
        let mut group = c.benchmark_group(format!("attention/{name}/{}:{}x{}", model.0, model.1, model.2));
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(2));
        for (form, attention) in FORMS {
            group.bench_function(form, |b| {
                b.iter(|| {
                    if backward {
                        let out = attention(&q, &k, &v, segments, 0.125, None).expect("the shapes fit");
                        black_box(out.backward().expect("differentiable"));
                    } else {
                        let [q, k, v] = [&q, &k, &v].map(|x| x.as_detached_tensor());
                        black_box(attention(&q, &k, &v, segments, 0.125, None).expect("the shapes fit"));
                    }
                });
            });
        }
        group.finish();
    }
}

fn attention_forms(c: &mut Criterion) {
    bench(c, "8 sequences of 256, forward", &sequences(8, 256), false);
    bench(c, "8 sequences of 256, both", &sequences(8, 256), true);
    bench(c, "4 pairs of 128 + 2 x 64, both", &pairs(4, 128, 64), true);
    bench(c, "1 sequence of 2048, both", &sequences(1, 2048), true);
    bench(c, "16 tokens decoded at 192", &decoding(16, 192), false);
    bench(c, "1 token decoded at 2048", &decoding(1, 2048), false);
}

criterion_group!(benches, attention_forms);
criterion_main!(benches);
