//! Linear layers of few rows, as in decoding, against gemm.
//!
//! In the shapes of a 15 M and a 135 M parameter Llama: a layer's widest weight and the head. Each product
//! takes another of many equal weights, so that they come from main memory, as when a model is decoded.
//! `RAYON_NUM_THREADS=1` puts both on one thread (and `CANDLE_NUM_THREADS=1`). Compare within one run only.

use std::hint::black_box;

use align_kernels::{Param, composed, linear};
use candle_core::{Device, Result, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Bytes of weights, more than caches hold.
const BYTES: usize = 128 << 20;

/// Inputs and outputs.
const SHAPES: [(usize, usize); 5] = [(288, 768), (288, 32_000), (576, 1536), (1536, 576), (576, 49_152)];

type Linear = fn(&Tensor, &Param, Option<&Param>) -> Result<Tensor>;

fn values(shape: (usize, usize)) -> Result<Tensor> {
    let entry = |i: usize| (i * 7919 % 10_007) as f32 / 5003.5 - 1.0;
    Tensor::from_iter((0..shape.0 * shape.1).map(entry), &Device::Cpu)?.reshape(shape)
}

fn shape(c: &mut Criterion, (inputs, outputs): (usize, usize)) -> Result<()> {
    let weight = values((outputs, inputs))?;
    let copies = (BYTES / (4 * inputs * outputs)).max(1);
    let weights: Vec<Param> =
        (0..copies).map(|_| Ok(Param::frozen(&weight.copy()?))).collect::<Result<_>>()?;
    for rows in [1, 8, 16, 32, 64, 128] {
        let x = values((rows, inputs))?;
        let mut group = c.benchmark_group(format!("few_rows/{inputs}x{outputs}, {rows} rows"));
        group.sample_size(10).throughput(Throughput::Elements((2 * rows * inputs * outputs) as u64));
        for (name, form) in [("composed", composed::linear as Linear), ("cpu", linear as Linear)] {
            let mut turn = weights.iter().cycle();
            group.bench_function(name, |b| b.iter(|| turn.next().map(|w| black_box(form(&x, w, None)))));
        }
        group.finish();
    }
    Ok(())
}

fn few_rows(c: &mut Criterion) {
    SHAPES.into_iter().for_each(|sizes| shape(c, sizes).expect("the shapes fit"));
}

criterion_group!(benches, few_rows);
criterion_main!(benches);
