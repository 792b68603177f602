//! The halves of a decoder layer are, to the bit, their separate ops one after the other.

use std::ops::Range;

use align_kernels::{AttentionBlock, Param, Rope, Segment, attention_block, composed, mlp_block};
use candle_core::{DType, Result, Tensor};

use super::{CPU, Op, check, check_within, results, values};

/// In attention queries and keys have gradients that are small differences of larger terms.
const ATTENTION: f64 = 2e-5;

/// The bits of the value and of all gradients, after one backward pass or two.
fn bits(op: Op<'_>, inputs: &[Tensor], passes: usize) -> Vec<Vec<u32>> {
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let of = |t: &Tensor| flat(t).into_iter().map(f32::to_bits).collect();
    results(op, inputs, DType::F32, passes).iter().map(of).collect()
}

fn same_bits(fused: Op<'_>, separate: Op<'_>, inputs: &[Tensor]) {
    for passes in [1, 2] {
        assert_eq!(bits(fused, inputs, passes), bits(separate, inputs, passes));
    }
}

#[test]
fn mlp_block_is_to_the_bit_that_of_separate_ops() {
    for (rows, hidden, inner) in [(1, 1, 1), (1, 7, 5), (13, 16, 33), (65, 96, 200), (130, 210, 97)] {
        let inputs = [
            values(&[rows, hidden], 1, 1.0),
            values(&[hidden], 5, 1.0),
            values(&[inner, hidden], 2, 0.1),
            values(&[inner, hidden], 3, 0.1),
            values(&[hidden, inner], 4, 0.1),
        ];
        let layers = |p: &[Param]| [2, 3, 4].map(|i| p[i].clone());
        let fused = |p: &[Param]| {
            let [gate, up, down] = layers(p);
            mlp_block(p[0].tensor(), &p[1], 0.1, [(&gate, None), (&up, None), (&down, None)])
        };
        let separate = |p: &[Param]| {
            let [gate, up, down] = layers(p);
            composed::mlp_block(p[0].tensor(), &p[1], 0.1, [(&gate, None), (&up, None), (&down, None)])
        };
        same_bits(&fused, &separate, &inputs);
        check(&fused, &separate, &inputs);
    }
}

#[test]
fn mlp_block_leaves_frozen_weights_without_gradient_and_takes_untracked_rows() {
    let [gate, up, down] =
        [[5, 3], [5, 3], [3, 5]].map(|shape| Param::tracked(&values(&shape, 7, 1.0)).unwrap());
    let norm = Param::tracked(&values(&[3], 6, 1.0)).unwrap();
    let x = Param::tracked(&values(&[4, 3], 8, 1.0)).unwrap();
    let run = |x: &Tensor, gate: &Param| {
        let y = mlp_block(x, &norm, 1e-5, [(gate, None), (&up, None), (&down, None)]).unwrap();
        y.sum_all().unwrap().backward().unwrap();
        let sums = [gate, &up, &down, &norm].map(|p| p.grad_buffer().and_then(|buffer| buffer.get()));
        [&up, &down, &norm].iter().for_each(|p| p.grad_buffer().unwrap().clear());
        sums.map(|sum| sum.map(|sum| sum.flatten_all().unwrap().to_vec1::<f32>().unwrap()))
    };
    let all = run(x.tensor(), &gate);
    assert!(all.iter().all(Option::is_some));
    let frozen = run(x.tensor(), &gate.view());
    assert_eq!((&frozen[0], &frozen[1..]), (&None, &all[1..]));
    gate.grad_buffer().unwrap().clear();
    assert_eq!(run(&x.tensor().detach(), &gate), all);
}

fn segment(queries: Range<usize>, prompt: Option<Range<usize>>) -> Segment {
    let keys = prompt.into_iter().chain([queries.clone()]).collect();
    Segment { queries, keys }
}

/// A prompt with two completions, and a sequence of its own.
fn segments(tokens: usize) -> Vec<Segment> {
    let (a, b, c) = (tokens / 4, tokens / 2, tokens * 3 / 4);
    if tokens < 4 {
        return vec![segment(0..tokens, None)];
    }
    vec![segment(0..a, None), segment(a..b, Some(0..a)), segment(b..c, Some(0..a)), segment(c..tokens, None)]
}

/// A block over the parameters `x, norm, q, k, v, o` and perhaps the biases of the last four.
fn attention(
    p: &[Param],
    dim: usize,
    window: Option<usize>,
    run: impl Fn(&Tensor, &AttentionBlock<'_>) -> Result<Tensor>,
) -> Result<Tensor> {
    let tokens = p[0].tensor().dim(0)?;
    let positions: Vec<u32> = (0..tokens as u32).collect();
    let frequencies: Vec<f32> = (0..dim / 2).map(|i| 0.7f32.powi(i as i32)).collect();
    let rotation = Rope::new(&positions, &frequencies, 1.0, p[0].tensor().dtype(), &CPU)?;
    let layer = |i: usize| (&p[i], p.get(i + 4));
    let block = AttentionBlock {
        norm: &p[1],
        norm_epsilon: 1e-2,
        query: layer(2),
        key: layer(3),
        value: layer(4),
        output: layer(5),
        head_dim: dim,
        rotation: &rotation,
        segments: &segments(tokens),
        window,
    };
    run(p[0].tensor(), &block)
}

fn inputs(tokens: usize, hidden: usize, heads: usize, kv_heads: usize, dim: usize) -> Vec<Tensor> {
    let weights =
        [[heads * dim, hidden], [kv_heads * dim, hidden], [kv_heads * dim, hidden], [hidden, heads * dim]];
    let mut all = vec![values(&[tokens, hidden], 1, 1.0), values(&[hidden], 2, 1.0)];
    all.extend(weights.iter().enumerate().map(|(i, shape)| values(shape, 3 + i, 0.1)));
    all
}

#[test]
fn attention_block_is_to_the_bit_that_of_separate_ops() {
    for (tokens, hidden, heads, kv_heads, dim) in
        [(1, 1, 1, 1, 2), (5, 7, 2, 1, 4), (23, 24, 4, 2, 6), (70, 48, 3, 3, 16), (140, 96, 6, 3, 16)]
    {
        for (window, biased) in [(None, false), (Some(3), true)] {
            let mut inputs = inputs(tokens, hidden, heads, kv_heads, dim);
            if biased {
                let biases =
                    inputs[2..6].iter().enumerate().map(|(i, w)| values(&w.dims()[..1], 11 + i, 0.5));
                inputs.extend(biases.collect::<Vec<_>>());
            }
            let fused = |p: &[Param]| attention(p, dim, window, |x, block| attention_block(x, block, None));
            let separate =
                |p: &[Param]| attention(p, dim, window, |x, block| composed::attention_block(x, block, None));
            same_bits(&fused, &separate, &inputs);
            check_within(ATTENTION, &fused, &separate, &inputs);
        }
    }
}

#[test]
fn an_attention_block_of_some_rows_is_those_of_all() {
    let inputs = inputs(23, 24, 4, 2, 6);
    for rows in [&[22u32][..], &[5, 5, 0, 17, 22, 5], &[]] {
        let rows = Tensor::new(rows, &CPU).unwrap();
        let fused = |p: &[Param]| attention(p, 6, None, |x, block| attention_block(x, block, Some(&rows)));
        let chosen = |p: &[Param]| {
            attention(p, 6, None, |x, block| {
                composed::attention_block(x, block, None)?.index_select(&rows, 0)
            })
        };
        check_within(ATTENTION, &fused, &chosen, &inputs);
    }
    let rows = Tensor::new(&[23u32], &CPU).unwrap();
    let params: Vec<_> = inputs.iter().map(|t| Param::tracked(t).unwrap()).collect();
    let refused = attention(&params, 6, None, |x, block| attention_block(x, block, Some(&rows)));
    assert!(refused.unwrap_err().to_string().contains("row 23 is outside the 23 rows"));
}

#[test]
fn an_attention_block_of_another_width_is_refused() {
    let mut inputs = inputs(5, 8, 2, 1, 4);
    inputs[5] = values(&[9, 8], 6, 0.1);
    let params: Vec<_> = inputs.iter().map(|t| Param::tracked(t).unwrap()).collect();
    let refused = attention(&params, 4, None, |x, block| attention_block(x, block, None));
    assert!(refused.unwrap_err().to_string().contains("expected an output of width 8"));
}
