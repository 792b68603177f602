//! The language-model head, forward and backward, against its composed form.

use std::hint::black_box;

use align_kernels::{Param, composed, linear_log_probs, linear_log_probs_with_stats};
use candle_core::{Device, Result, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};

/// A model's head and the rows of one step that count.
struct Head {
    hidden: Tensor,
    weight: Param,
    labels: Tensor,
}

impl Head {
    fn new(rows: usize, width: usize, vocab: usize) -> Result<Self> {
        let values = |rows: usize, scale: f32| {
            let entry = |i: usize| scale * ((i * 7919 % 10_007) as f32 / 5003.5 - 1.0);
            Tensor::from_iter((0..rows * width).map(entry), &Device::Cpu)?.reshape((rows, width))
        };
        Ok(Self {
            hidden: Param::tracked(&values(rows, 1.0)?)?.tensor().clone(),
            weight: Param::tracked(&values(vocab, 0.5)?)?,
            labels: Tensor::from_iter((0..rows).map(|i| (i * 31 % vocab) as u32), &Device::Cpu)?,
        })
    }

    /// One forward pass and one backward pass into a gradient that is there already.
    fn step(&self, log_probs: impl Fn(&Tensor, &Param, &Tensor) -> Result<Tensor>) -> Result<()> {
        let grads = log_probs(&self.hidden, &self.weight, &self.labels)?.sum_all()?.backward()?;
        black_box(grads.get(&self.hidden));
        Ok(())
    }
}

fn head(c: &mut Criterion) {
    for (rows, width, vocab) in [(512, 288, 32_000), (384, 576, 49_152)] {
        let head = Head::new(rows, width, vocab).expect("the shapes fit");
        let frozen = head.weight.view();
        let mut group = c.benchmark_group(format!("linear_log_probs/{rows}x{width}x{vocab}"));
        group.sample_size(10);
        group.bench_function("composed", |b| {
            b.iter(|| head.step(|h, w, l| composed(|| linear_log_probs(h, w, l))).expect("the shapes fit"));
        });
        group.bench_function("cpu", |b| {
            b.iter(|| head.step(linear_log_probs).expect("the shapes fit"));
        });
        group.bench_function("forward with statistics, composed", |b| {
            b.iter(|| composed(|| linear_log_probs_with_stats(&head.hidden.detach(), &frozen, &head.labels)));
        });
        group.bench_function("forward with statistics, cpu", |b| {
            b.iter(|| linear_log_probs_with_stats(&head.hidden.detach(), &frozen, &head.labels));
        });
        group.finish();
    }
}

criterion_group!(benches, head);
criterion_main!(benches);
