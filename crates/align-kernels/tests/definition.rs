//! Values of the ops against their textbook definitions, in f64.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

use align_kernels::{Param, Segment, attention, linear_log_probs, linear_log_probs_with_stats};
use candle_core::{D, DType, Device, Tensor};

const CPU: Device = Device::Cpu;

fn values(shape: &[usize], seed: usize) -> Tensor {
    let n: usize = shape.iter().product();
    let data: Vec<f64> = (0..n).map(|i| ((i * 37 + seed * 101) as f64 * 0.618).sin()).collect();
    Tensor::from_vec(data, shape, &CPU).unwrap()
}

fn worst(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

/// One head over one sequence, row by row.
fn reference(q: &[f64], k: &[Vec<f64>], v: &[Vec<f64>], scale: f64) -> Vec<f64> {
    let scores: Vec<f64> =
        k.iter().map(|k| q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>() * scale).collect();
    let total: f64 = scores.iter().map(|s| s.exp()).sum();
    (0..q.len()).map(|d| scores.iter().zip(v).map(|(s, v)| s.exp() / total * v[d]).sum()).collect()
}

#[test]
fn attention_with_a_shared_prefix_is_attention_over_the_two_sequences() {
    let (q, k, v) = (values(&[8, 4, 2], 1), values(&[8, 2, 2], 2), values(&[8, 2, 2], 3));
    let segments = [
        Segment { queries: 0..3, keys: [0..3].to_vec() },
        Segment { queries: 3..5, keys: vec![0..3, 3..5] },
        Segment { queries: 5..8, keys: vec![0..3, 5..8] },
    ];
    for window in [None, Some(2)] {
        let out = attention(&q, &k, &v, &segments, 0.5, window).unwrap().to_vec3::<f64>().unwrap();
        let (q, k, v) =
            (q.to_vec3::<f64>().unwrap(), k.to_vec3::<f64>().unwrap(), v.to_vec3::<f64>().unwrap());
        // The rows that each query may see, written out by hand.
        let context = |row: usize| -> Vec<usize> {
            let all: Vec<usize> = match row {
                0..3 => (0..=row).collect(),
                3..5 => (0..3).chain(3..=row).collect(),
                _ => (0..3).chain(5..=row).collect(),
            };
            all[all.len().saturating_sub(window.unwrap_or(99))..].to_vec()
        };
        for row in 0..8 {
            for head in 0..4 {
                let rows = context(row);
                let keys: Vec<_> = rows.iter().map(|&r| k[r][head / 2].clone()).collect();
                let vals: Vec<_> = rows.iter().map(|&r| v[r][head / 2].clone()).collect();
                for (a, b) in out[row][head].iter().zip(reference(&q[row][head], &keys, &vals, 0.5)) {
                    assert!((a - b).abs() < 1e-12, "row {row} head {head}: {a} is not {b}");
                }
            }
        }
    }
}

#[test]
fn decoding_one_token_equals_the_last_row_of_the_whole() {
    let (q, k, v) = (values(&[6, 4, 2], 1), values(&[6, 2, 2], 2), values(&[6, 2, 2], 3));
    let whole =
        attention(&q, &k, &v, &[Segment { queries: 0..6, keys: [0..6].to_vec() }], 0.5, Some(3)).unwrap();
    let last = q.narrow(0, 5, 1).unwrap();
    let step =
        attention(&last, &k, &v, &[Segment { queries: 0..1, keys: vec![0..2, 2..6] }], 0.5, Some(3)).unwrap();
    assert!(worst(&whole.narrow(0, 5, 1).unwrap(), &step) < 1e-15);
}

#[test]
fn segments_that_do_not_fit_are_refused() {
    let x = values(&[4, 1, 2], 1);
    let refused = |segments: &[Segment]| attention(&x, &x, &x, segments, 1.0, None).unwrap_err().to_string();
    assert!(refused(&[Segment { queries: 0..3, keys: [0..3].to_vec() }]).contains("cover 3 of 4"));
    assert!(refused(&[Segment { queries: 1..4, keys: [0..4].to_vec() }]).contains("in order"));
    assert!(refused(&[Segment { queries: 0..4, keys: [0..5].to_vec() }]).contains("does not fit 4 keys"));
    assert!(refused(&[Segment { queries: 0..4, keys: [2..4].to_vec() }]).contains("does not fit 4 keys"));
}

#[test]
fn log_probs_entropy_and_hits_are_those_of_the_softmax() {
    let (hidden, w) = (values(&[5, 3], 1), (values(&[7, 3], 2) * 4.0).unwrap());
    let labels = Tensor::new(&[0u32, 6, 3, 3, 1], &CPU).unwrap();
    let logits = hidden.matmul(&w.t().unwrap()).unwrap();
    let exp = logits.exp().unwrap();
    let p = exp.broadcast_div(&exp.sum_keepdim(D::Minus1).unwrap()).unwrap();
    let expected = p.log().unwrap().gather(&labels.unsqueeze(1).unwrap(), 1).unwrap().squeeze(1).unwrap();
    let entropy = (&p * p.log().unwrap()).unwrap().sum(1).unwrap().neg().unwrap();
    let correct = logits.argmax(1).unwrap().eq(&labels).unwrap().to_dtype(DType::F64).unwrap();

    let weight = Param::frozen(&w);
    let (log_probs, stats) = linear_log_probs_with_stats(&hidden, &weight, &labels).unwrap();
    assert!(worst(&log_probs, &expected) < 1e-12);
    assert!(worst(&stats.entropy, &entropy) < 1e-12);
    assert_eq!(worst(&stats.correct, &correct), 0.0);
    assert_eq!(worst(&linear_log_probs(&hidden, &weight, &labels).unwrap(), &log_probs), 0.0);
}
