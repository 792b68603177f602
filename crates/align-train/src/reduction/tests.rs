use std::thread;

use candle_core::{Device, Tensor};

use super::*;
use crate::{Adam, threads};

/// In buckets of 1,000 values the second takes several, and the others share some.
const SHAPES: [(&str, usize); 5] = [
    ("model.embed_tokens.weight", 700),
    ("model.layers.0.mlp.weight", 5000),
    ("model.layers.1.attn.weight", 300),
    ("model.layers.1.mlp.weight", 600),
    ("model.norm.weight", 40),
];

fn gradient(name: &str, rank: usize, pass: usize, count: usize) -> Vec<f32> {
    let seed = name.len() * 7 + rank * 31 + pass * 101;
    (0..count).map(|i| ((seed + i) as f32).sin() * 10f32.powi((i % 7) as i32 - 3)).collect()
}

fn write(params: &Params, name: &str, rank: usize, pass: usize) -> Result<()> {
    let param = params.require(name)?;
    let values = gradient(name, rank, pass, param.tensor().elem_count());
    let grad = Tensor::from_slice(&values, values.len(), &Device::Cpu)?;
    Ok(param.grad_buffer().expect("tracked").accumulate(&grad)?)
}

/// The share of each parameter that every rank keeps, after a pass that writes in this order, and the most bytes of gradients that
/// were in the buffers when one was written.
fn summed(
    ranks: usize,
    shard: Shard,
    order: &(impl Fn(usize) -> Vec<&'static str> + Sync),
) -> Vec<(Vec<Vec<f32>>, usize)> {
    let one = |ranks: Ranks| {
        let zeros = SHAPES.map(|(name, count)| {
            (name.to_owned(), Tensor::zeros(count, candle_core::DType::F32, &Device::Cpu).unwrap())
        });
        let params = Params::tracked(zeros.iter().map(|(name, value)| (name, value))).unwrap();
        let method = OptimizerMethod::AdamW(Adam::default());
        let reduction = Reduction::in_buckets(&params, method, ranks.clone(), shard, 1000);
        let mut most = 0;
        reduction
            .during(|| {
                let mut seen = Vec::new();
                for name in order(ranks.rank()) {
                    let times = seen.iter().filter(|it| **it == name).count();
                    seen.push(name);
                    write(&params, name, ranks.rank(), times)?;
                    let held =
                        params.iter().filter_map(|(_, it)| gradients::of(it)).map(|it| it.elem_count()).sum();
                    most = most.max(held);
                }
                Ok(())
            })
            .unwrap();
        reduction.complete().unwrap();
        let norm = reduction.norm(&params).unwrap();
        assert!(norm > 0.0);
        (SHAPES.map(|(name, _)| reduction.take(name).unwrap()).to_vec(), most)
    };
    thread::scope(|scope| {
        let all: Vec<_> = threads(ranks).into_iter().map(|it| scope.spawn(|| one(it))).collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

const BACKWARD: [&str; 5] = [
    "model.norm.weight",
    "model.layers.1.mlp.weight",
    "model.layers.1.attn.weight",
    "model.layers.0.mlp.weight",
    "model.embed_tokens.weight",
];

#[test]
fn shares_of_a_sum_are_those_of_all_in_the_order_of_ranks_to_the_bit() {
    for ranks in [2, 3] {
        for shard in [Shard::Optimizer, Shard::Gradients] {
            // A rank that writes in another order, and one that has no micro-batch, are waited for and add what they have.
            let order = |rank: usize| match rank {
                0 => BACKWARD.to_vec(),
                1 => BACKWARD.iter().rev().copied().collect(),
                _ => Vec::new(),
            };
            let all = summed(ranks, shard, &order);
            for (number, (name, count)) in SHAPES.into_iter().enumerate() {
                let together: Vec<f32> = all.iter().flat_map(|(sums, _)| sums[number].clone()).collect();
                let [first, second] = [0, 1].map(|rank| gradient(name, rank, 0, count));
                let expected: Vec<f32> = first.iter().zip(second).map(|(a, b)| a + b).collect();
                let bits = |values: &[f32]| values.iter().map(|it| it.to_bits()).collect::<Vec<_>>();
                assert!(bits(&together) == bits(&expected), "{name} on {ranks} ranks, {shard:?}");
            }
        }
    }
}

#[test]
fn buffers_are_freed_while_the_pass_goes_on() {
    let order = |_| BACKWARD.to_vec();
    let all: usize = SHAPES.iter().map(|(_, count)| count).sum();
    for (_, most) in summed(2, Shard::Optimizer, &order) {
        assert_eq!(most, all);
    }
    for (_, most) in summed(2, Shard::Gradients, &order) {
        assert_eq!(most, 5000, "the largest: what was written before it has gone");
    }
}

#[test]
fn what_is_written_late_is_added_too() {
    let order = |rank: usize| {
        let mut order = BACKWARD.to_vec();
        order.extend((rank == 1).then_some("model.norm.weight"));
        order
    };
    let all = summed(2, Shard::Gradients, &order);
    let norm: Vec<f32> = all.iter().flat_map(|(sums, _)| sums[4].clone()).collect();
    let [first, second, late] =
        [(0, 0), (1, 0), (1, 1)].map(|(rank, pass)| gradient("model.norm.weight", rank, pass, 40));
    for (i, value) in norm.iter().enumerate() {
        let expected = first[i] + second[i] + late[i];
        assert!((value - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{value} {expected}");
    }
}

#[test]
fn a_pass_that_fails_ends_the_others() {
    let ends = thread::scope(|scope| {
        let one = |ranks: Ranks| {
            let zeros = SHAPES.map(|(name, count)| {
                (name.to_owned(), Tensor::zeros(count, candle_core::DType::F32, &Device::Cpu).unwrap())
            });
            let params = Params::tracked(zeros.iter().map(|(name, value)| (name, value))).unwrap();
            let method = OptimizerMethod::AdamW(Adam::default());
            let reduction = Reduction::in_buckets(&params, method, ranks.clone(), Shard::Gradients, 1000);
            let passed = reduction.during(|| {
                for name in BACKWARD.iter().take(if ranks.rank() == 1 { 2 } else { 5 }) {
                    write(&params, name, ranks.rank(), 0)?;
                }
                if ranks.rank() == 1 { Err(Error::stage("no memory")) } else { Ok(()) }
            });
            ranks.agree(passed).unwrap_err().to_string()
        };
        let all: Vec<_> = threads(2).into_iter().map(|it| scope.spawn(move || one(it))).collect();
        all.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(ends, ["rank 1: no memory", "no memory"]);
}
