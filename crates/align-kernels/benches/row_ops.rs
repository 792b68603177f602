//! The ops that work row by row, forward and backward, against their composed forms.
//!
//! In the shapes of a 15 M and a 135 M parameter Llama with 1024 tokens. `RAYON_NUM_THREADS=1` puts both on
//! one thread. Compare within one run only.

use std::hint::black_box;

use align_kernels::{Param, Rope, composed, embedding, linear, rms_norm, rope, swiglu};
use candle_core::{DType, Device, Result, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};

const TOKENS: usize = 1024;

/// Hidden size, intermediate size, heads, rows of the embedding table.
const MODELS: [(usize, usize, usize, usize); 2] = [(288, 768, 6, 32_000), (576, 1536, 9, 49_152)];

fn values(shape: &[usize], scale: f32) -> Result<Tensor> {
    let entry = |i: usize| scale * ((i * 7919 % 10_007) as f32 / 5003.5 - 1.0);
    Tensor::from_iter((0..shape.iter().product()).map(entry), &Device::Cpu)?.reshape(shape)
}

fn tracked(shape: &[usize], scale: f32) -> Param {
    values(shape, scale).and_then(|tensor| Param::tracked(&tensor)).expect("the shape fits")
}

type Op<'a> = &'a dyn Fn() -> Result<Tensor>;

/// Forward, and forward with backward into gradients that are there already, in both forms.
fn compare(c: &mut Criterion, name: &str, cpu: Op<'_>, composed: Op<'_>) {
    let mut group = c.benchmark_group(name);
    group.sample_size(20);
    for (form, op) in [("composed", composed), ("cpu", cpu)] {
        group.bench_function(format!("forward, {form}"), |b| b.iter(|| black_box(op())));
        group.bench_function(format!("both, {form}"), |b| {
            b.iter(|| op().and_then(|y| y.sum_all()?.backward()).map(black_box));
        });
    }
    group.finish();
}

fn model(c: &mut Criterion, (hidden, intermediate, heads, vocab): (usize, usize, usize, usize)) {
    let x = tracked(&[TOKENS, hidden], 1.0);
    let x = x.tensor();

    let w = tracked(&[hidden], 1.0);
    let forms: (Op<'_>, Op<'_>) = (&|| rms_norm(x, &w, 1e-5), &|| composed(|| rms_norm(x, &w, 1e-5)));
    compare(c, &format!("rms_norm/{hidden}"), forms.0, forms.1);

    let head_dim = hidden / heads;
    let positions: Vec<u32> = (0..TOKENS as u32).collect();
    let frequencies: Vec<f32> = (0..head_dim / 2).map(|i| 0.7f32.powi(i as i32)).collect();
    let angles = Rope::new(&positions, &frequencies, 1.0, DType::F32, &Device::Cpu).expect("the shapes fit");
    let q = tracked(&[TOKENS, heads, head_dim], 1.0);
    let q = q.tensor();
    compare(c, &format!("rope/{heads}x{head_dim}"), &|| rope(q, &angles), &|| composed(|| rope(q, &angles)));

    let gate = tracked(&[TOKENS, intermediate], 4.0);
    let up = tracked(&[TOKENS, intermediate], 1.0);
    let (gate, up) = (gate.tensor(), up.tensor());
    let name = format!("swiglu/{intermediate}");
    compare(c, &name, &|| swiglu(gate, up), &|| composed(|| swiglu(gate, up)));

    let table = tracked(&[vocab, hidden], 1.0);
    let ids = (0..TOKENS).map(|i| (i * i * 31 % vocab) as u32);
    let ids = Tensor::from_iter(ids, &Device::Cpu).expect("the shape fits");
    let name = format!("embedding/{vocab}x{hidden}");
    compare(c, &name, &|| embedding(&ids, &table), &|| composed(|| embedding(&ids, &table)));

    let w = tracked(&[intermediate, hidden], 0.1);
    let name = format!("linear/{hidden}x{intermediate}");
    compare(c, &name, &|| linear(x, &w, None), &|| composed(|| linear(x, &w, None)));
}

fn row_ops(c: &mut Criterion) {
    MODELS.into_iter().for_each(|shape| model(c, shape));
}

criterion_group!(benches, row_ops);
criterion_main!(benches);
