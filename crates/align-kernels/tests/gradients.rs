//! Every op's backward pass against central differences in f64.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

use align_kernels::{
    Activation, Head, Looking, Param, RmsNorm, Rope, Segment, Segments, SoftCap, attention, embedding, gated,
    linear, linear_log_probs, linear_log_probs_with_stats, record, rms_norm, rope, swiglu,
};
use candle_core::{DType, Device, Result, Tensor};

const CPU: Device = Device::Cpu;

/// A deterministic f64 tensor with entries in about ±`scale`.
fn values(shape: &[usize], seed: u64, scale: f64) -> Tensor {
    let n: usize = shape.iter().product();
    let entry = |i: usize| ((i as f64 + 1.0) * 12.9898 + seed as f64 * 78.233).sin() * 43758.5453;
    let data: Vec<f64> = (0..n).map(|i| (entry(i).fract() * 2.0 - entry(i).signum()) * scale).collect();
    Tensor::from_vec(data, shape, &CPU).unwrap()
}

fn param(shape: &[usize], seed: u64) -> Param {
    Param::tracked(&values(shape, seed, 0.7)).unwrap()
}

/// Compares each parameter's buffer with central differences of `loss`.
fn check(params: &[&Param], loss: impl Fn() -> Result<Tensor>) {
    let value = || loss().unwrap().to_scalar::<f64>().unwrap();
    loss().unwrap().backward().unwrap();
    for (which, param) in params.iter().enumerate() {
        let grad = param.grad_buffer().unwrap().get().expect("the backward pass wrote no gradient");
        let grad = grad.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let start = param.tensor().detach().copy().unwrap();
        let flat = start.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for i in 0..flat.len() {
            let at = |step: f64| {
                let mut moved = flat.clone();
                moved[i] += step;
                param.set(&Tensor::from_vec(moved, start.shape(), &CPU).unwrap()).unwrap();
                value()
            };
            let h = 1e-5;
            let expected = (at(h) - at(-h)) / (2.0 * h);
            assert!(
                (grad[i] - expected).abs() <= 1e-7 * expected.abs().max(1.0),
                "parameter {which} entry {i}: backward {}, differences {expected}",
                grad[i]
            );
        }
        param.set(&start).unwrap();
    }
}

/// A scalar that weighs every entry of `y` differently.
fn weigh(y: &Tensor) -> Result<Tensor> {
    (y * values(y.dims(), 99, 1.0))?.sum_all()
}

#[test]
fn linear_with_bias() {
    let (x, w, b) = (param(&[5, 3], 1), param(&[4, 3], 2), param(&[4], 3));
    check(&[&x, &w, &b], || weigh(&linear(&x.leaf()?, &w, Some(&b))?));
}

#[test]
fn linear_gets_a_weight_gradient_from_an_untracked_input() {
    let (x, w) = (values(&[5, 3], 1, 1.0), param(&[4, 3], 2));
    check(&[&w], || weigh(&linear(&x, &w, None)?));
}

#[test]
fn a_frozen_weight_passes_the_gradient_on() {
    let (x, w) = (param(&[5, 3], 1), Param::frozen(&values(&[4, 3], 2, 1.0)));
    check(&[&x], || weigh(&linear(&x.leaf()?, &w, None)?));
    assert!(w.grad_buffer().is_none());
}

#[test]
fn a_weight_used_twice_gets_both_gradients() {
    let (x, w) = (param(&[4, 3], 1), param(&[3, 3], 2));
    check(&[&x, &w], || weigh(&linear(&linear(&x.leaf()?, &w, None)?, &w, None)?));
}

#[test]
fn embedding_with_repeated_ids() {
    let table = param(&[6, 3], 1);
    let ids = Tensor::new(&[2u32, 0, 2, 5, 2], &CPU).unwrap();
    check(&[&table], || weigh(&embedding(&ids, &table)?));
}

#[test]
fn rms_norm_of_ordinary_and_tiny_rows() {
    let w = param(&[4], 2);
    for scale in [1.0, 1e-3] {
        let x = Param::tracked(&values(&[3, 4], 1, scale)).unwrap();
        w.grad_buffer().unwrap().clear();
        check(&[&w], || weigh(&rms_norm(&x.leaf()?, &w, 1e-5)?));
    }
    let x = param(&[3, 4], 1);
    w.grad_buffer().unwrap().clear();
    check(&[&x, &w], || weigh(&rms_norm(&x.leaf()?, &w, 1e-5)?));
}

#[test]
fn a_norm_around_zero() {
    let (x, w) = (param(&[3, 4], 1), param(&[4], 2));
    let norm = RmsNorm::around_zero(&w, 1e-5);
    check(&[&x, &w], || weigh(&record("norm", [&x.leaf()?], |tape, [x]| tape.rms_norm(&x, &norm))?));
}

#[test]
fn gelus_at_zero_and_saturation() {
    let gate =
        Param::tracked(&Tensor::new(&[[0f64, 1e-3, -1.0, 3.0, -3.0, 9.0, -9.0]], &CPU).unwrap()).unwrap();
    let up = param(&[1, 7], 2);
    for activation in [Activation::Gelu, Activation::GeluTanh] {
        gate.grad_buffer().unwrap().clear();
        up.grad_buffer().unwrap().clear();
        check(&[&gate, &up], || weigh(&gated(activation, &gate.leaf()?, &up.leaf()?)?));
    }
}

#[test]
fn soft_caps_at_zero_and_saturation() {
    let by = SoftCap::new(2.0).at_temperature(0.5);
    let x = Param::tracked(&Tensor::new(&[0f64, 0.1, -1.0, 4.0, -30.0], &CPU).unwrap()).unwrap();
    check(&[&x], || weigh(&record("cap", [&x.leaf()?], |tape, [x]| tape.softcap(&x, by))?));

    let (hidden, weight) = (param(&[3, 4], 1), param(&[6, 4], 2));
    let labels = Tensor::new(&[5u32, 0, 5], &CPU).unwrap();
    let head = Head { softcap: Some(SoftCap::new(0.5)), ..Head::new(&weight) };
    check(&[&hidden, &weight], || weigh(&head.log_probs(&hidden.leaf()?, &labels)?));

    let [q, k, v] = [1, 2, 3].map(|seed| param(&[4, 2, 2], seed));
    let segments = Segments::from(vec![Segment { queries: 0..4, keys: [0..4].to_vec() }]);
    let looking = Looking { scale: 2.0, window: Some(3), softcap: Some(SoftCap::new(0.7)) };
    check(&[&q, &k, &v], || {
        weigh(&record("attend", [&q.leaf()?, &k.leaf()?, &v.leaf()?], |tape, [q, k, v]| {
            tape.attention([&q, &k, &v], &segments, looking)
        })?)
    });
}

#[test]
fn rope_at_repeated_and_distant_positions() {
    let x = param(&[4, 2, 6], 1);
    let rotation = Rope::new(&[0, 3, 3, 500], &[1.0, 0.1, 0.01], 1.0, DType::F64, &CPU).unwrap();
    check(&[&x], || weigh(&rope(&x.leaf()?, &rotation)?));
    // A rotation of the first four of six elements.
    let part = Rope::new(&[0, 3, 3, 500], &[1.0, 0.1], 1.5, DType::F64, &CPU).unwrap();
    x.grad_buffer().unwrap().clear();
    check(&[&x], || weigh(&rope(&x.leaf()?, &part)?));
}

#[test]
fn swiglu_at_zero_and_saturation() {
    let (gate, up) = (param(&[3, 4], 1), param(&[3, 4], 2));
    let gates = [0.0, 1.0, -1.0, 30.0, -30.0, 0.5, -0.5, 5.0, -5.0, 2.0, -2.0, 1e-9];
    gate.set(&Tensor::new(&gates, &CPU).unwrap().reshape((3, 4)).unwrap()).unwrap();
    check(&[&gate, &up], || weigh(&swiglu(&gate.leaf()?, &up.leaf()?)?));
}

fn segment(queries: std::ops::Range<usize>, keys: &[std::ops::Range<usize>]) -> Segment {
    Segment { queries, keys: keys.to_vec() }
}

#[test]
fn attention_over_shared_prefixes() {
    let (q, k, v) = (param(&[9, 4, 2], 1), param(&[9, 2, 2], 2), param(&[9, 2, 2], 3));
    let shared = [
        segment(0..3, &[0..3]),
        segment(3..5, &[0..3, 3..5]),
        segment(5..8, &[0..3, 5..8]),
        segment(8..9, &[8..9]),
    ];
    for window in [None, Some(1), Some(2), Some(4)] {
        for p in [&q, &k, &v] {
            p.grad_buffer().unwrap().clear();
        }
        check(&[&q, &k, &v], || weigh(&attention(&q.leaf()?, &k.leaf()?, &v.leaf()?, &shared, 0.7, window)?));
    }
}

#[test]
fn linear_log_probs_at_ordinary_and_saturated_logits() {
    for scale in [1.0, 60.0] {
        let hidden = Param::tracked(&values(&[5, 3], 1, 1.0)).unwrap();
        let w = Param::tracked(&values(&[7, 3], 2, scale)).unwrap();
        let labels = Tensor::new(&[0u32, 6, 3, 3, 1], &CPU).unwrap();
        check(&[&hidden], || weigh(&linear_log_probs(&hidden.leaf()?, &w, &labels)?));
        hidden.grad_buffer().unwrap().clear();
        w.grad_buffer().unwrap().clear();
        check(&[&w, &hidden], || weigh(&linear_log_probs_with_stats(&hidden.leaf()?, &w, &labels)?.0));
    }
}

#[test]
fn a_view_sees_updates_and_records_nothing() {
    let w = param(&[2, 2], 1);
    let (view, x) = (w.view(), values(&[1, 2], 5, 1.0));
    w.set(&Tensor::ones((2, 2), DType::F64, &CPU).unwrap()).unwrap();
    assert_eq!(view.tensor().to_vec2::<f64>().unwrap(), [[1.0, 1.0], [1.0, 1.0]]);
    assert!(!linear(&x, &view, None).unwrap().track_op());
    assert!(view.set(view.tensor()).is_err());
}
