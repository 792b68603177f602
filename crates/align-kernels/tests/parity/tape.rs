//! Ops on a tape are, to the bit, the same ops one after the other in candle's graph.

use std::ops::Range;

use align_kernels::{
    Activation, Linear, Looking, Param, RmsNorm, Rope, Segment, Segments, SoftCap, attention, composed,
    linear, record, rms_norm, rope, swiglu,
};
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

fn same_bits(taped: Op<'_>, separate: Op<'_>, inputs: &[Tensor]) {
    for passes in [1, 2] {
        assert_eq!(bits(taped, inputs, passes), bits(separate, inputs, passes));
    }
}

/// A feed-forward layer of `x, norm, gate, up, down`.
fn mlp(x: &Tensor, p: &[Param]) -> Result<Tensor> {
    let [gate, up, down] = [&p[1], &p[2], &p[3]].map(|weight| Linear::new(weight, None));
    let (gate, up, down) = (gate?, up?, down?);
    record("mlp", [x], |tape, [x]| {
        let normalised = tape.rms_norm(&x, &RmsNorm::new(&p[0], 0.1))?;
        let [gate, up] = tape.linears(&normalised, [&gate, &up])?;
        let unit = tape.gated(Activation::Silu, &gate, &up)?;
        let y = tape.linear(&unit, &down)?;
        tape.add(&x, y)
    })
}

fn mlp_of_separate_ops(x: &Tensor, p: &[Param]) -> Result<Tensor> {
    let normalised = rms_norm(x, &p[0], 0.1)?;
    let unit = swiglu(&linear(&normalised, &p[1], None)?, &linear(&normalised, &p[2], None)?)?;
    x + linear(&unit, &p[3], None)?
}

#[test]
fn a_feed_forward_layer_is_to_the_bit_that_of_separate_ops() {
    for (rows, hidden, inner) in [(1, 1, 1), (1, 7, 5), (13, 16, 33), (65, 96, 200), (130, 210, 97)] {
        let inputs = [
            values(&[rows, hidden], 1, 1.0),
            values(&[hidden], 5, 1.0),
            values(&[inner, hidden], 2, 0.1),
            values(&[inner, hidden], 3, 0.1),
            values(&[hidden, inner], 4, 0.1),
        ];
        let taped = |p: &[Param]| mlp(p[0].tensor(), &p[1..]);
        same_bits(&taped, &|p| mlp_of_separate_ops(p[0].tensor(), &p[1..]), &inputs);
        check(&taped, &|p| composed(|| mlp(p[0].tensor(), &p[1..])), &inputs);
    }
}

#[test]
fn frozen_weights_get_no_gradient_and_untracked_rows_are_taken() {
    let [gate, up, down] =
        [[5, 3], [5, 3], [3, 5]].map(|shape| Param::tracked(&values(&shape, 7, 1.0)).unwrap());
    let norm = Param::tracked(&values(&[3], 6, 1.0)).unwrap();
    let x = Param::tracked(&values(&[4, 3], 8, 1.0)).unwrap();
    let run = |x: &Tensor, gate: &Param| {
        let params = [&norm, gate, &up, &down].map(Param::clone);
        mlp(x, &params).unwrap().sum_all().unwrap().backward().unwrap();
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

fn rotation(x: &Tensor, dim: usize) -> Result<Rope> {
    let positions: Vec<u32> = (0..x.dim(0)? as u32).collect();
    let frequencies: Vec<f32> = (0..dim / 2).map(|i| 0.7f32.powi(i as i32)).collect();
    Rope::new(&positions, &frequencies, 1.0, x.dtype(), &CPU)
}

/// Attention of `x, norm, q, k, v, o` and perhaps the biases of the last four.
fn attend(p: &[Param], dim: usize, window: Option<usize>, rows: Option<&Tensor>) -> Result<Tensor> {
    let x = p[0].tensor();
    let (tokens, rotation) = (x.dim(0)?, rotation(x, dim)?);
    let segments = Segments::from(segments(tokens));
    let [q, k, v, o] = [2, 3, 4, 5].map(|i| Linear::new(&p[i], p.get(i + 4)));
    let layers = [q?, k?, v?, o?];
    record("attend", [x], |tape, [x]| {
        let normalised = tape.rms_norm(&x, &RmsNorm::new(&p[1], 1e-2))?;
        let [q, k, v, o] = &layers;
        let heads = [q, k, v].map(|layer| (tokens, layer.outputs() / dim, dim));
        let [q, k, v] = tape.linears(&normalised, [q, k, v])?;
        let (q, k, v) = (tape.reshape(q, heads[0])?, tape.reshape(k, heads[1])?, tape.reshape(v, heads[2])?);
        let (q, k) = (tape.rope(&q, &rotation)?, tape.rope(&k, &rotation)?);
        let mixed = tape.attention([&q, &k, &v], &segments, Looking { scale: 0.4, window, softcap: None })?;
        let mixed = tape.reshape(mixed, (tokens, heads[0].1 * dim))?;
        let (x, mixed) = match rows {
            None => (x, mixed),
            Some(rows) => (tape.rows(&x, rows)?, tape.rows(&mixed, rows)?),
        };
        let y = tape.linear(&mixed, o)?;
        tape.add(&x, y)
    })
}

fn attend_by_separate_ops(p: &[Param], dim: usize, window: Option<usize>) -> Result<Tensor> {
    let x = p[0].tensor();
    let (tokens, rotation) = (x.dim(0)?, rotation(x, dim)?);
    let normalised = rms_norm(x, &p[1], 1e-2)?;
    let heads = |i: usize| linear(&normalised, &p[i], p.get(i + 4))?.reshape((tokens, (), dim));
    let (q, k, v) = (rope(&heads(2)?, &rotation)?, rope(&heads(3)?, &rotation)?, heads(4)?);
    let mixed = attention(&q, &k, &v, &segments(tokens), 0.4, window)?;
    x + linear(&mixed.flatten_from(1)?, &p[5], p.get(9))?
}

fn inputs(tokens: usize, hidden: usize, heads: usize, kv_heads: usize, dim: usize) -> Vec<Tensor> {
    let weights =
        [[heads * dim, hidden], [kv_heads * dim, hidden], [kv_heads * dim, hidden], [hidden, heads * dim]];
    let mut all = vec![values(&[tokens, hidden], 1, 1.0), values(&[hidden], 2, 1.0)];
    all.extend(weights.iter().enumerate().map(|(i, shape)| values(shape, 3 + i, 0.1)));
    all
}

#[test]
fn attention_is_to_the_bit_that_of_separate_ops() {
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
            let taped = |p: &[Param]| attend(p, dim, window, None);
            same_bits(&taped, &|p| attend_by_separate_ops(p, dim, window), &inputs);
            check_within(ATTENTION, &taped, &|p| composed(|| attend(p, dim, window, None)), &inputs);
        }
    }
}

#[test]
fn attention_of_some_rows_is_that_of_all() {
    let inputs = inputs(23, 24, 4, 2, 6);
    for rows in [&[22u32][..], &[5, 5, 0, 17, 22, 5], &[]] {
        let rows = Tensor::new(rows, &CPU).unwrap();
        let taped = |p: &[Param]| attend(p, 6, None, Some(&rows));
        let chosen = |p: &[Param]| composed(|| attend(p, 6, None, None)?.index_select(&rows, 0));
        check_within(ATTENTION, &taped, &chosen, &inputs);
    }
    let rows = Tensor::new(&[23u32], &CPU).unwrap();
    let params: Vec<_> = inputs.iter().map(|t| Param::tracked(t).unwrap()).collect();
    let refused = attend(&params, 6, None, Some(&rows));
    assert!(refused.unwrap_err().to_string().contains("row 23 is outside the 23 rows"));
}

#[test]
fn an_output_of_another_width_is_refused() {
    let mut inputs = inputs(5, 8, 2, 1, 4);
    inputs[5] = values(&[9, 8], 6, 0.1);
    let params: Vec<_> = inputs.iter().map(|t| Param::tracked(t).unwrap()).collect();
    let refused = attend(&params, 4, None, None).unwrap_err().to_string();
    assert!(refused.contains("two tensors of one shape"), "{refused}");
}

#[test]
fn attention_with_a_soft_cap_agrees() {
    for (tokens, heads, kv_heads, dim) in [(5, 1, 1, 2), (23, 4, 2, 6), (140, 6, 3, 16)] {
        for (scale, cap) in [(0.3, 2.0), (3.0, 0.5), (0.01, 50.0)] {
            let attend = |p: &[Param]| {
                let looking = Looking { scale, window: Some(50), softcap: Some(SoftCap::new(cap)) };
                let segments = Segments::from(segments(tokens));
                let [q, k, v] = [p[0].tensor(), p[1].tensor(), p[2].tensor()];
                record("attend", [q, k, v], |tape, [q, k, v]| {
                    tape.attention([&q, &k, &v], &segments, looking)
                })
            };
            let kv = [tokens, kv_heads, dim];
            let inputs = [values(&[tokens, heads, dim], 1, 1.0), values(&kv, 2, 1.0), values(&kv, 3, 1.0)];
            check_within(ATTENTION, &attend, &|p| composed(|| attend(p)), &inputs);
        }
    }
}
