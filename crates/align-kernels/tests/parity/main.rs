//! The CPU forms of the row-wise ops, values and gradients in f32, against the composed forms in f64 on the
//! same inputs (which `gradients.rs` holds against finite differences); and against themselves on another
//! number of threads.
//!
//! The bound is 2e-6 of the largest entry: a dozen roundings of f32 (6e-8 each), or sums of a few hundred
//! terms in 16 lanes.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod tape;

use align_kernels::{
    Activation, Head, Param, RmsNorm, Rope, SoftCap, composed, embedding, gated, linear, record, rms_norm,
    rope,
};
use candle_core::{DType, Device, Result, Tensor};

const CPU: Device = Device::Cpu;

/// Entries in ±`scale` that f32 and f64 hold alike.
fn values(shape: &[usize], seed: usize, scale: f32) -> Tensor {
    let n: usize = shape.iter().product();
    let entry = |i: usize| scale * (((i + 1) * 7919 + seed * 104_729) % 20_011) as f32 / 10_005.5 - scale;
    Tensor::from_vec((0..n).map(entry).collect(), shape, &CPU).unwrap()
}

/// A function of parameters, in whatever dtype they have.
type Op<'a> = &'a (dyn Fn(&[Param]) -> Result<Tensor> + Sync);

/// The value of `op` and the gradients of all parameters, of which each backward pass but the first finds
/// some in the buffers.
fn results(op: Op<'_>, inputs: &[Tensor], dtype: DType, passes: usize) -> Vec<Tensor> {
    let params: Vec<_> =
        inputs.iter().map(|t| Param::tracked(&t.to_dtype(dtype).unwrap()).unwrap()).collect();
    let mut all = Vec::new();
    for pass in 0..passes {
        let y = op(&params).unwrap();
        let weights = values(y.dims(), 99 + pass, 1.0).to_dtype(dtype).unwrap();
        let grads = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
        if pass + 1 == passes {
            all.push(y.detach());
            for param in &params {
                let buffer = param.grad_buffer().unwrap().get();
                let grad = buffer.or_else(|| grads.get(param.tensor()).cloned());
                all.push(grad.expect("the backward pass wrote no gradient"));
            }
        }
    }
    all
}

/// Checks `fused` in f32 against `composed` in f64, on 1 and 3 threads, after one backward pass and two.
fn check(fused: Op<'_>, composed: Op<'_>, inputs: &[Tensor]) {
    check_within(2e-6, fused, composed, inputs);
}

/// [`check`] with another bound.
fn check_within(bound: f64, fused: Op<'_>, composed: Op<'_>, inputs: &[Tensor]) {
    for passes in [1, 2] {
        let exact = results(composed, inputs, DType::F64, passes);
        let on_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| results(fused, inputs, DType::F32, passes))
        };
        let (one, three) = (on_threads(1), on_threads(3));
        assert_eq!([one.len(), three.len(), exact.len()], [inputs.len() + 1; 3]);
        for (which, ((one, three), exact)) in one.iter().zip(&three).zip(&exact).enumerate() {
            let flat = |t: &Tensor| t.flatten_all().unwrap();
            let (a, b) = (flat(one).to_vec1::<f32>().unwrap(), flat(three).to_vec1::<f32>().unwrap());
            assert_eq!((one.dims(), one.dims()), (three.dims(), exact.dims()));
            assert!(
                a.iter().zip(&b).all(|(a, b)| a.to_bits() == b.to_bits()),
                "result {which} depends on threads"
            );
            let exact = flat(exact).to_vec1::<f64>().unwrap();
            // What is nothing but zeros, as the gradient of the only key's query, is left with the rounding
            // of two sums that cancel.
            let zeros = exact.iter().all(|x| *x == 0.0);
            let least = if zeros { 1e-9 / bound } else { 1e-30 };
            let largest = exact.iter().fold(least, |m: f64, x| m.max(x.abs()));
            for (i, (found, exact)) in a.iter().zip(&exact).enumerate() {
                let error = (f64::from(*found) - exact).abs() / largest;
                assert!(error <= bound, "result {which} of {inputs:?}, entry {i}: {found} is not {exact}");
            }
        }
    }
}

/// Rows and columns: one, primes, around the sizes of blocks and vectors, several blocks.
const SIZES: [(usize, usize); 8] =
    [(1, 1), (1, 7), (3, 16), (64, 17), (65, 288), (130, 33), (7, 1031), (200, 96)];

#[test]
fn rms_norm_agrees() {
    for (rows, hidden) in SIZES {
        // In rows of one element all of the gradient but a part of the order of ε cancels.
        let cases: &[_] = if hidden == 1 { &[(1.0, 0.5)] } else { &[(2.0, 1e-5), (1e-3, 1e-6), (1e4, 0.0)] };
        for &(scale, epsilon) in cases {
            let inputs = [values(&[rows, hidden], 1, scale), values(&[hidden], 2, 1.5)];
            check(
                &|p| rms_norm(p[0].tensor(), &p[1], epsilon),
                &|p| composed(|| rms_norm(p[0].tensor(), &p[1], epsilon)),
                &inputs,
            );
        }
    }
}

#[test]
fn rms_norm_of_zeros_is_zero_with_finite_gradients() {
    let zeros = Tensor::zeros((2, 5), DType::F32, &CPU).unwrap();
    check(
        &|p| rms_norm(p[0].tensor(), &p[1], 1e-6),
        &|p| composed(|| rms_norm(p[0].tensor(), &p[1], 1e-6)),
        &[zeros, values(&[5], 2, 1.5)],
    );
}

#[test]
fn rope_agrees() {
    for (tokens, heads, head_dim, half) in [
        (1, 1, 2, 1),
        (5, 3, 6, 3),
        (64, 2, 48, 24),
        (131, 1, 64, 32),
        (67, 9, 10, 5),
        (67, 2, 10, 3),
        (3, 2, 7, 1),
    ] {
        let positions: Vec<u32> = (0..tokens).map(|i| i * 37 % 1000).collect();
        let frequencies: Vec<f32> = (0..half).map(|i| 0.7f32.powi(i)).collect();
        let rotation = |dtype| Rope::new(&positions, &frequencies, 1.25, dtype, &CPU).unwrap();
        check(
            &|p| rope(p[0].tensor(), &rotation(DType::F32)),
            &|p| composed(|| rope(p[0].tensor(), &rotation(DType::F64))),
            &[values(&[tokens as usize, heads, head_dim], 3, 2.0)],
        );
    }
}

#[test]
fn rope_refuses_more_angles_than_a_head_has_pairs() {
    let rotation = Rope::new(&[0], &[1.0, 1.0], 1.0, DType::F32, &CPU).unwrap();
    let message = rope(&values(&[1, 1, 3], 1, 1.0), &rotation).unwrap_err().to_string();
    assert!(message.contains("rope: expected"), "{message}");
}

#[test]
fn gated_units_agree() {
    for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh] {
        for (rows, hidden) in SIZES {
            // Of a single entry far out nothing is left but the last digits of e⁻ˣ.
            let scales: &[f32] = if rows * hidden < 10 { &[1.0] } else { &[1.0, 30.0, 200.0] };
            for &scale in scales {
                check(
                    &|p| gated(activation, p[0].tensor(), p[1].tensor()),
                    &|p| composed(|| gated(activation, p[0].tensor(), p[1].tensor())),
                    &[values(&[rows, hidden], 4, scale), values(&[rows, hidden], 5, 1.0)],
                );
            }
        }
    }
}

#[test]
fn norms_around_zero_agree() {
    let norm = |p: &[Param]| {
        let norm = RmsNorm::around_zero(&p[1], 1e-5);
        record("norm", [p[0].tensor()], |tape, [x]| tape.rms_norm(&x, &norm))
    };
    for (rows, hidden) in [(3, 16), (65, 288)] {
        let inputs = [values(&[rows, hidden], 1, 2.0), values(&[hidden], 2, 0.5)];
        check(&norm, &|p| composed(|| norm(p)), &inputs);
    }
}

#[test]
fn soft_caps_agree() {
    let by = SoftCap::new(3.0).at_temperature(0.7);
    let capped = |p: &[Param]| record("cap", [p[0].tensor()], |tape, [x]| tape.softcap(&x, by));
    for (rows, hidden) in SIZES {
        for scale in [0.01, 1.0, 30.0] {
            check(&capped, &|p| composed(|| capped(p)), &[values(&[rows, hidden], 4, scale)]);
        }
    }
    for (rows, width, vocab) in [(1, 5, 7), (13, 9, 2503)] {
        let labels = Tensor::from_iter((0..rows as u32).map(|i| i * 31 % vocab as u32), &CPU).unwrap();
        let log_probs = |p: &[Param]| {
            let head = Head { softcap: Some(by), ..Head::new(&p[1]) };
            head.log_probs(p[0].tensor(), &labels)
        };
        let inputs = [values(&[rows, width], 1, 1.0), values(&[vocab, width], 2, 2.0)];
        check_within(5e-6, &log_probs, &|p| composed(|| log_probs(p)), &inputs);
    }
}

#[test]
fn embedding_agrees() {
    for (tokens, vocab, hidden) in [(1usize, 1, 1), (5, 3, 7), (200, 50, 33)] {
        let ids: Vec<u32> = (0..tokens).map(|i| (i * i % vocab) as u32).collect();
        let ids = Tensor::from_vec(ids, tokens, &CPU).unwrap();
        check(
            &|p| embedding(&ids, &p[0]),
            &|p| composed(|| embedding(&ids, &p[0])),
            &[values(&[vocab, hidden], 6, 1.0)],
        );
    }
}

#[test]
fn embedding_refuses_ids_outside_the_table() {
    let table = Param::frozen(&values(&[4, 2], 1, 1.0));
    let message = embedding(&Tensor::new(&[0u32, 4], &CPU).unwrap(), &table).unwrap_err().to_string();
    assert!(message.contains("token id 4 is outside the table of 4 rows"), "{message}");
}

#[test]
fn linear_agrees() {
    for (rows, inputs, outputs) in [(1, 1, 1), (1, 33, 17), (3, 7, 5), (65, 96, 130), (129, 288, 100)] {
        let x = values(&[rows, inputs], 7, 1.0);
        let (w, b) = (values(&[outputs, inputs], 8, 1.0), values(&[outputs], 9, 1.0));
        check(
            &|p| linear(p[0].tensor(), &p[1], Some(&p[2])),
            &|p| composed(|| linear(p[0].tensor(), &p[1], Some(&p[2]))),
            &[x.clone(), w.clone(), b],
        );
        check(
            &|p| linear(p[0].tensor(), &p[1], None),
            &|p| composed(|| linear(p[0].tensor(), &p[1], None)),
            &[x, w],
        );
    }
}

#[test]
fn a_tied_head_and_embedding_add_up_in_one_buffer() {
    let ids = Tensor::new(&[2u32, 0, 2, 1], &CPU).unwrap();
    check(
        &|p| linear(&embedding(&ids, &p[0])?, &p[0], None),
        &|p| composed(|| linear(&embedding(&ids, &p[0])?, &p[0], None)),
        &[values(&[40, 24], 10, 1.0)],
    );
}

#[test]
fn frozen_parameters_get_no_gradient_and_pass_it_on() {
    let x = Param::tracked(&values(&[3, 4], 1, 1.0)).unwrap();
    let (w, norm) = (Param::frozen(&values(&[4, 4], 2, 1.0)), Param::frozen(&values(&[4], 3, 1.0)));
    let bias = Param::tracked(&values(&[4], 4, 1.0)).unwrap();
    let y = linear(&rms_norm(x.tensor(), &norm, 1e-6).unwrap(), &w, Some(&bias)).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(grads.get(x.tensor()).is_some());
    assert_eq!(bias.grad_buffer().unwrap().get().unwrap().to_vec1::<f32>().unwrap(), [3.0; 4]);
    // A trained bias under a frozen weight and an input without a graph.
    bias.grad_buffer().unwrap().clear();
    linear(&x.tensor().detach(), &w, Some(&bias)).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(bias.grad_buffer().unwrap().get().unwrap().to_vec1::<f32>().unwrap(), [3.0; 4]);
}

#[test]
fn operands_need_not_be_contiguous() {
    let (x, w) = (values(&[8, 6], 1, 1.0), values(&[8, 10], 2, 1.0));
    let (xt, wt) = (x.t().unwrap(), w.t().unwrap());
    let found = linear(&xt, &Param::frozen(&wt), None).unwrap();
    let expected = xt.matmul(&w).unwrap();
    let error = (found - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert!(error < 1e-5, "{error}");
    let copied = xt.contiguous().unwrap();
    let twice = |t: &Tensor| gated(Activation::Silu, t, t).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(twice(&xt), twice(&copied));
}
