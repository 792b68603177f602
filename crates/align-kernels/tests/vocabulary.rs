//! Adapters of embedding and head, and rows of both that are trained: against dense weights that are the same function, whose ops
//! are held against finite differences elsewhere.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::Arc;

use align_kernels::{
    Adapter, Blocks, Ggml, Head, Param, SoftCap, TrainedRows, Weight, composed, embedding, record,
};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Result, Tensor};

const CPU: Device = Device::Cpu;
const SCALE: f64 = 1.5;
/// Not in order, one of them in the last of several tiles.
const IDS: [u32; 4] = [2600, 0, 31, 1999];

/// Deterministic entries in about ±0.7.
fn values(shape: &[usize], seed: usize, dtype: DType) -> Tensor {
    let entry = |i: usize| ((i + 1) * (7919 + 2 * seed) % 10_007) as f64 / 7147.9 - 0.7;
    let values: Vec<f64> = (0..shape.iter().product()).map(entry).collect();
    Tensor::from_vec(values, shape, &CPU).unwrap().to_dtype(dtype).unwrap()
}

fn tracked(shape: &[usize], seed: usize, dtype: DType) -> Param {
    Param::tracked(&values(shape, seed, dtype)).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The value, and what a sum that weighs entries differently leaves in the buffers after two passes.
fn outcome(params: &[&Param], run: &dyn Fn() -> Result<Tensor>) -> Vec<Vec<f64>> {
    params.iter().for_each(|param| param.grad_buffer().unwrap().clear());
    let mut value = Vec::new();
    for pass in 0..2 {
        let y = run().unwrap();
        (&y * values(y.dims(), 50 + pass, y.dtype())).unwrap().sum_all().unwrap().backward().unwrap();
        value = flat(&y);
    }
    let grads = params.iter().map(|param| flat(&param.grad_buffer().unwrap().get().unwrap()));
    [value].into_iter().chain(grads).collect()
}

fn same(found: &[Vec<f64>], expected: &[Vec<f64>], bound: f64) {
    assert_eq!(found.len(), expected.len());
    for (which, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{which}");
        let largest = expected.iter().fold(1.0, |largest: f64, value| largest.max(value.abs()));
        let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart <= bound * largest, "{which}: {apart} apart, of {largest}");
    }
}

/// In f64 by tensor ops, in f32 by both forms.
const FORMS: [(DType, bool, f64); 3] =
    [(DType::F64, false, 1e-12), (DType::F32, false, 2e-5), (DType::F32, true, 2e-5)];

#[test]
fn a_head_with_an_adapter_is_the_head_of_the_merged_weight() {
    let (rows, width, vocab, rank) = (37, 32, 2603, 3);
    let labels = Tensor::from_iter((0..rows as u32).map(|row| row * 71 % 2603), &CPU).unwrap();
    for (dtype, by_composed, bound) in FORMS {
        for softcap in [None, Some(SoftCap::new(2.0))] {
            let frozen = Param::frozen(&values(&[vocab, width], 1, dtype));
            let [hidden, a, b] =
                [[rows, width], [rank, width], [vocab, rank]].map(|shape| tracked(&shape, shape[0], dtype));
            let adapter = Adapter::new(&a, &b, SCALE).unwrap();
            let head = Head { adapter: Some(adapter), softcap, ..Head::new(&frozen) };
            let whole = || {
                let change = (b.tensor().detach().matmul(&a.tensor().detach()).unwrap() * SCALE).unwrap();
                Param::tracked(&(frozen.tensor() + change).unwrap()).unwrap()
            };
            // The gradients of A and B from that of the merged weight.
            let merged = whole();
            let of_merged = Head { softcap, ..Head::new(&merged) };
            let run = |head: &Head, with_stats: bool| {
                let hidden = hidden.leaf()?;
                let log_probs = || match with_stats {
                    false => head.log_probs(&hidden, &labels),
                    true => Ok(head.log_probs_with_stats(&hidden, &labels)?.0),
                };
                if by_composed { composed(log_probs) } else { log_probs() }
            };
            let expected = outcome(&[&hidden, &merged], &|| run(&of_merged, false));
            let whole = Tensor::from_vec(expected[2].clone(), (vocab, width), &CPU).unwrap();
            let wide = |param: &Param| param.tensor().detach().to_dtype(DType::F64).unwrap();
            let of_a = (wide(&b).t().unwrap().matmul(&whole).unwrap() * SCALE).unwrap();
            let of_b = (whole.matmul(&wide(&a).t().unwrap()).unwrap() * SCALE).unwrap();
            let expected = [expected[0].clone(), expected[1].clone(), flat(&of_a), flat(&of_b)];
            for with_stats in [false, true] {
                same(&outcome(&[&hidden, &a, &b], &|| run(&head, with_stats)), &expected, bound);
            }
            let logits = |head: &Head| flat(&head.logits(hidden.tensor()).unwrap());
            same(&[logits(&head)], &[logits(&of_merged)], bound);
        }
    }
}

#[test]
fn trained_rows_are_those_of_a_table_that_has_them() {
    let (rows, width, vocab) = (37, 32, 2603);
    let labels = Tensor::from_iter((0..rows as u32).map(|row| row * 71 % 2603), &CPU).unwrap();
    let ids = Tensor::new(&[5u32, 0, 2600, 0, 31, 7], &CPU).unwrap();
    let chosen = Tensor::new(&IDS, &CPU).unwrap();
    for (dtype, by_composed, bound) in FORMS {
        let frozen = Param::frozen(&values(&[vocab, width], 1, dtype));
        let (hidden, own) = (tracked(&[rows, width], 2, dtype), tracked(&[IDS.len(), width], 3, dtype));
        let trained = TrainedRows::new(&IDS, &own).unwrap();
        let mut whole = frozen.tensor().clone();
        for (place, id) in IDS.iter().enumerate() {
            let row = own.tensor().detach().narrow(0, place, 1).unwrap();
            whole = whole.slice_scatter(&row, 0, *id as usize).unwrap();
        }
        let whole = Param::tracked(&whole).unwrap();
        let log_probs = |head: &Head| {
            let hidden = hidden.leaf()?;
            let run = || head.log_probs(&hidden, &labels);
            if by_composed { composed(run) } else { run() }
        };
        let head = Head { trained: Some(trained.clone()), ..Head::new(&frozen) };
        let of_whole = Head::new(&whole);
        let mut expected = outcome(&[&hidden, &whole], &|| log_probs(&of_whole));
        let all = Tensor::from_vec(expected[2].clone(), (vocab, width), &CPU).unwrap();
        expected[2] = flat(&all.index_select(&chosen, 0).unwrap());
        same(&outcome(&[&hidden, &own], &|| log_probs(&head)), &expected, bound);

        let logits = |head: &Head| head.logits(&hidden.leaf()?);
        let mut expected = outcome(&[&hidden, &whole], &|| logits(&of_whole));
        let all = Tensor::from_vec(expected[2].clone(), (vocab, width), &CPU).unwrap();
        expected[2] = flat(&all.index_select(&chosen, 0).unwrap());
        same(&outcome(&[&hidden, &own], &|| logits(&head)), &expected, bound);

        let table = Weight::dense(&frozen);
        let rows_of = || record("rows", [], |tape, []| tape.embedding_with_rows(&ids, &table, &trained));
        let mut expected = outcome(&[&whole], &|| embedding(&ids, &whole));
        let all = Tensor::from_vec(expected[1].clone(), (vocab, width), &CPU).unwrap();
        expected[1] = flat(&all.index_select(&chosen, 0).unwrap());
        same(&outcome(&[&own], &rows_of), &expected, bound);
    }
}

#[test]
fn an_embedding_with_an_adapter_is_that_of_the_merged_table() {
    let (vocab, width, rank) = (50, 32, 3);
    let ids = Tensor::new(&[5u32, 0, 49, 0, 31, 7], &CPU).unwrap();
    for (dtype, by_composed, bound) in FORMS {
        let [a, b] = [[rank, vocab], [width, rank]].map(|shape| tracked(&shape, shape[0], dtype));
        let frozen = Param::frozen(&values(&[vocab, width], 1, dtype));
        let change = a.tensor().detach().t().unwrap().contiguous().unwrap();
        let change = (change.matmul(&b.tensor().detach().t().unwrap()).unwrap() * SCALE).unwrap();
        let merged = Param::tracked(&(frozen.tensor() + change).unwrap()).unwrap();
        let expected = outcome(&[&merged], &|| embedding(&ids, &merged));
        let whole = Tensor::from_vec(expected[1].clone(), (vocab, width), &CPU).unwrap();
        let wide = |param: &Param| param.tensor().detach().to_dtype(DType::F64).unwrap();
        let of_a = (wide(&b).t().unwrap().matmul(&whole.t().unwrap()).unwrap() * SCALE).unwrap();
        let of_b = (whole.t().unwrap().matmul(&wide(&a).t().unwrap()).unwrap() * SCALE).unwrap();
        let table = Weight::dense(&frozen);
        let rows_of = || {
            let run = || record("rows", [], |tape, []| tape.adapted_embedding(&ids, &table, [&a, &b], SCALE));
            if by_composed { composed(run) } else { run() }
        };
        same(&outcome(&[&a, &b], &rows_of), &[expected[0].clone(), flat(&of_a), flat(&of_b)], bound);
    }
}

#[test]
fn a_weight_in_blocks_takes_adapters_and_rows_too() {
    let (rows, width, vocab) = (9, 64, 2700);
    let weight = values(&[vocab, width], 4, DType::F32);
    let packed = QTensor::quantize(&weight, GgmlDType::Q8_0).unwrap();
    let packed = packed.data().unwrap().into_owned();
    let blocks: Arc<dyn Blocks> = Arc::new(Ggml::new(GgmlDType::Q8_0, (vocab, width), packed).unwrap());
    let dense = Weight::dense(&Param::frozen(&blocks.dense(&CPU).unwrap()));
    let labels = Tensor::from_iter((0..rows as u32).map(|row| row * 300), &CPU).unwrap();
    let [hidden, a, b, own] = [[rows, width], [2, width], [vocab, 2], [IDS.len(), width]]
        .map(|shape| tracked(&shape, shape[0], DType::F32));
    let adapter = Some(Adapter::new(&a, &b, SCALE).unwrap());
    let trained = Some(TrainedRows::new(&IDS, &own).unwrap());
    for (adapter, trained, params) in
        [(adapter, None, vec![&hidden, &a, &b]), (None, trained, vec![&hidden, &own])]
    {
        let run = |weight: &Weight| {
            let head = Head {
                weight: weight.clone(),
                adapter: adapter.clone(),
                trained: trained.clone(),
                softcap: None,
            };
            outcome(&params, &|| head.log_probs(&hidden.leaf()?, &labels))
        };
        assert_eq!(run(&Weight::blocks(Arc::clone(&blocks))), run(&dense), "to the bit");
    }
}

#[test]
fn what_would_lose_a_gradient_is_refused() {
    let weight = tracked(&[9, 4], 1, DType::F32);
    let frozen = Param::frozen(&weight.tensor().detach());
    let [a, b, own] = [[2, 4], [9, 2], [1, 4]].map(|shape| tracked(&shape, 2, DType::F32));
    let (hidden, labels) = (values(&[3, 4], 3, DType::F32), Tensor::new(&[1u32, 2, 3], &CPU).unwrap());
    let problem = |head: Head| head.log_probs(&hidden, &labels).unwrap_err().to_string();
    let adapter = || Adapter::new(&a, &b, 1.0).unwrap();
    let trained = TrainedRows::new(&[4], &own).unwrap();
    assert!(problem(Head { adapter: Some(adapter()), ..Head::new(&weight) }).contains("is trained, or"));
    assert!(
        problem(Head { trained: Some(trained.clone()), ..Head::new(&weight) }).contains("is trained, or")
    );
    let both = Head { trained: Some(trained), adapter: Some(adapter()), ..Head::new(&frozen) };
    assert!(problem(both).contains("is trained, or"));
    let dropped = adapter().with_dropout(0.1);
    assert!(problem(Head { adapter: Some(dropped), ..Head::new(&frozen) }).contains("A and B alone"));
    assert!(TrainedRows::new(&[4, 5], &own).is_err());
    assert!(TrainedRows::new(&[4, 4], &tracked(&[2, 4], 1, DType::F32)).is_err());
    let outside = TrainedRows::new(&[9], &own).unwrap();
    assert!(problem(Head { trained: Some(outside), ..Head::new(&frozen) }).contains("rows of a table"));
}
