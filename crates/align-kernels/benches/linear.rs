//! Linear layers whose weights come from main memory, as in a model: of few rows, as in decoding, and of a
//! training step's few hundred, forward and backward. Against candle's own product, which is the `gemm` crate's.
//!
//! In the shapes of a 15 M and a 135 M parameter Llama: a layer's widest weight and the head. Each product
//! takes another of many equal weights. `RAYON_NUM_THREADS=1` puts both on one thread (and
//! `CANDLE_NUM_THREADS=1`). Compare within one run only.

use std::hint::black_box;

use align_kernels::{Param, composed, linear};
use candle_core::{Device, Result, Tensor};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Bytes of weights, more than caches hold.
const BYTES: usize = 128 << 20;

/// Inputs and outputs.
const SHAPES: [(usize, usize); 5] = [(288, 768), (288, 32_000), (576, 1536), (1536, 576), (576, 49_152)];

type Linear = fn(&Tensor, &Param, Option<&Param>) -> Result<Tensor>;

const FORMS: [(&str, Linear); 2] = [("composed", |x, w, b| composed(|| linear(x, w, b))), ("cpu", linear)];

fn values(shape: (usize, usize)) -> Result<Tensor> {
    let entry = |i: usize| (i * 7919 % 10_007) as f32 / 5003.5 - 1.0;
    Tensor::from_iter((0..shape.0 * shape.1).map(entry), &Device::Cpu)?.reshape(shape)
}

/// As many equal weights as caches do not hold.
fn weights((inputs, outputs): (usize, usize), param: fn(&Tensor) -> Result<Param>) -> Result<Vec<Param>> {
    let weight = values((outputs, inputs))?;
    let copies = (BYTES / (4 * inputs * outputs)).max(1);
    (0..copies).map(|_| param(&weight.copy()?)).collect()
}

fn forward(c: &mut Criterion, (inputs, outputs): (usize, usize)) -> Result<()> {
    let weights = weights((inputs, outputs), |weight| Ok(Param::frozen(weight)))?;
    for rows in [1, 8, 16, 32, 64, 128, 290] {
        let x = values((rows, inputs))?;
        let mut group = c.benchmark_group(format!("linear/{inputs}x{outputs}, {rows} rows"));
        group.sample_size(10).throughput(Throughput::Elements((2 * rows * inputs * outputs) as u64));
        for (name, form) in FORMS {
            let mut turn = weights.iter().cycle();
            group.bench_function(name, |b| b.iter(|| turn.next().map(|w| black_box(form(&x, w, None)))));
        }
        group.finish();
    }
    Ok(())
}

/// Forward and backward, into gradients that are there already.
fn both(c: &mut Criterion, (inputs, outputs): (usize, usize)) -> Result<()> {
    const ROWS: usize = 290;
    let weights = weights((inputs, outputs), Param::tracked)?;
    let x = Param::tracked(&values((ROWS, inputs))?)?;
    let mut group = c.benchmark_group(format!("linear/{inputs}x{outputs}, {ROWS} rows, both"));
    group.sample_size(10).throughput(Throughput::Elements((6 * ROWS * inputs * outputs) as u64));
    for (name, form) in FORMS {
        let step = |w: &Param| form(x.tensor(), w, None)?.sum_all()?.backward();
        weights.iter().try_for_each(|w| step(w).map(drop))?;
        let mut turn = weights.iter().cycle();
        group.bench_function(name, |b| b.iter(|| turn.next().map(|w| black_box(step(w)))));
    }
    group.finish();
    Ok(())
}

fn linears(c: &mut Criterion) {
    for sizes in SHAPES {
        forward(c, sizes).and_then(|()| both(c, sizes)).expect("the shapes fit");
    }
}

criterion_group!(benches, linears);
criterion_main!(benches);
