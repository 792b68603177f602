//! Adapters of linear layers: their gradients, their forms, dropout.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use align_kernels::{Adapter, Linear, Noise, Param, Tape, Weight, checkpoint, composed, magnitudes, record};
use candle_core::{DType, Device, Result, Tensor};

const CPU: Device = Device::Cpu;
const SCALE: f64 = 1.5;

/// Deterministic f64 entries in about ±0.7.
fn values(shape: &[usize], seed: usize) -> Tensor {
    let entry = |i: usize| ((i + 1) * (7919 + 2 * seed) % 10_007) as f64 / 7147.9 - 0.7;
    Tensor::from_vec((0..shape.iter().product()).map(entry).collect(), shape, &CPU).unwrap()
}

/// x, W, b, A, B, the bias of B, and magnitudes, for so many rows.
fn params(rows: usize, dtype: DType) -> [Param; 7] {
    let shapes: [&[usize]; 7] = [&[rows, 6], &[5, 6], &[5], &[2, 6], &[5, 2], &[5], &[5]];
    let mut seed = 0;
    shapes.map(|shape| {
        seed += 1;
        Param::tracked(&values(shape, seed).to_dtype(dtype).unwrap()).unwrap()
    })
}

fn low_rank([_, w, b, a, b2, bias, _]: &[Param; 7]) -> Linear {
    let adapter = Adapter::new(a, b2, SCALE).unwrap().with_bias(bias);
    Linear::new(w, Some(b)).unwrap().with_adapter(&adapter).unwrap()
}

fn dora([_, w, b, a, b2, _, m]: &[Param; 7]) -> Linear {
    let adapter = Adapter::new(a, b2, SCALE).unwrap().with_magnitude(m);
    Linear::new(w, Some(b)).unwrap().with_adapter(&adapter).unwrap()
}

/// The value and the gradients of all parameters that have one, in f64, of a sum that weighs entries differently.
fn outcome(params: &[Param; 7], run: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<Vec<f64>> {
    let flat = |t: &Tensor| t.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>();
    params.iter().for_each(|param| param.grad_buffer().unwrap().clear());
    let y = run(&params[0].leaf().unwrap()).unwrap();
    let weights = values(y.dims(), 99).to_dtype(y.dtype()).unwrap();
    (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let grads = params.iter().filter_map(|param| param.grad_buffer().unwrap().get());
    [y].into_iter().chain(grads).map(|t| flat(&t).unwrap()).collect()
}

fn distance(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    assert_eq!(a.iter().map(Vec::len).collect::<Vec<_>>(), b.iter().map(Vec::len).collect::<Vec<_>>());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
}

/// The definition, in candle's own ops and with candle's gradients.
fn definition(params: &[Param; 7], with_magnitude: bool) -> Vec<Vec<f64>> {
    let vars: Vec<_> =
        params.iter().map(|p| candle_core::Var::from_tensor(&p.tensor().detach()).unwrap()).collect();
    let [x, w, b, a, b2, bias, m] = std::array::from_fn(|i| vars[i].as_tensor());
    let change = (b2.matmul(a).unwrap() * SCALE).unwrap();
    let y = if with_magnitude {
        let turned = (w + change).unwrap();
        let norms = turned.detach().sqr().unwrap().sum(1).unwrap().sqrt().unwrap();
        let rows = x.matmul(&turned.t().unwrap()).unwrap();
        rows.broadcast_mul(&(m / norms).unwrap()).unwrap().broadcast_add(b).unwrap()
    } else {
        let y = x.matmul(&(w + change).unwrap().t().unwrap()).unwrap();
        y.broadcast_add(&(b + (bias * SCALE).unwrap()).unwrap()).unwrap()
    };
    let grads = (&y * values(y.dims(), 99)).unwrap().sum_all().unwrap().backward().unwrap();
    let grads = vars.iter().filter_map(|var| grads.get(var.as_tensor()).cloned());
    [y.clone()].into_iter().chain(grads).map(|t| t.flatten_all().unwrap().to_vec1().unwrap()).collect()
}

#[test]
fn both_kinds_are_their_definition() {
    for rows in [1, 4, 70] {
        for with_magnitude in [false, true] {
            let layer = if with_magnitude { dora } else { low_rank };
            let exact = definition(&params(rows, DType::F64), with_magnitude);
            assert_eq!(exact.len(), 7);
            for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 2e-6)] {
                let params = params(rows, dtype);
                let layer = layer(&params);
                let found = outcome(&params, |x| layer.forward(x));
                let by_parts = outcome(&params, |x| composed(|| layer.forward(x)));
                assert!(distance(&found, &exact) < tolerance, "{}", distance(&found, &exact));
                assert!(distance(&by_parts, &exact) < tolerance);
            }
        }
    }
}

#[test]
fn a_frozen_base_gets_no_gradient_and_passes_it_on() {
    for layer in [low_rank, dora] {
        let all = params(9, DType::F32);
        let exact = outcome(&all, |x| layer(&all).forward(x));
        let mut frozen = all.clone();
        frozen[1] = all[1].view();
        frozen[2] = all[2].view();
        let layer = layer(&frozen);
        let found = outcome(&all, |x| layer.forward(x));
        // The value, x, A, B, and the bias of B or the magnitudes: without W and b.
        assert_eq!(found.len(), exact.len() - 2);
        let kept: Vec<_> = [0, 1].into_iter().chain(4..exact.len()).map(|i| exact[i].clone()).collect();
        assert_eq!(found, kept);
    }
}

#[test]
fn several_layers_at_once_are_those_layers() {
    let [p, q] = [params(3, DType::F32), params(70, DType::F32)];
    for params in [p, q] {
        let views = params.clone().map(|param| param.view());
        let (plain, adapted) = (Linear::new(&views[1], None).unwrap(), low_rank(&views));
        for layers in [[&adapted, &plain], [&dora(&views), &adapted]] {
            let mut found = Vec::new();
            record("test", [views[0].tensor()], |tape, [x]| {
                let [y, z] = tape.linears(&x, layers)?;
                found = vec![y.tensor().clone(), z.tensor().clone()];
                Ok(y)
            })
            .unwrap();
            for (found, layer) in found.iter().zip(layers) {
                let alone = layer.forward(views[0].tensor()).unwrap();
                let difference = (found - alone).unwrap().abs().unwrap().max_all().unwrap();
                assert!(difference.to_scalar::<f32>().unwrap() < 1e-6);
            }
        }
    }
}

#[test]
fn magnitudes_at_the_start_change_nothing() {
    let params = params(4, DType::F64);
    let [x, w, b, a, b2, ..] = &params;
    let adapter = Adapter::new(a, b2, SCALE).unwrap();
    let m = Param::tracked(&magnitudes(&Weight::dense(w), &adapter).unwrap()).unwrap();
    let layer = |adapter: &Adapter| Linear::new(w, Some(b)).unwrap().with_adapter(adapter).unwrap();
    let without = layer(&adapter).forward(x.tensor()).unwrap();
    let with = layer(&adapter.with_magnitude(&m)).forward(x.tensor()).unwrap();
    let difference = (without - with).unwrap().abs().unwrap().max_all().unwrap();
    assert!(difference.to_scalar::<f64>().unwrap() < 1e-14);
}

#[test]
fn an_adapter_with_an_offset_begins_as_its_base_and_learns_as_itself() {
    let flat = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    for dtype in [DType::F32, DType::F64] {
        let params = params(40, dtype);
        let [x, w, b, a, b2, ..] = &params;
        let [a0, b0] = [(a, 11), (b2, 12)]
            .map(|(like, seed)| Param::frozen(&values(like.tensor().dims(), seed).to_dtype(dtype).unwrap()));
        let minus_b0 = Param::frozen(&b0.tensor().neg().unwrap());
        let layer = |adapter: &Adapter| Linear::new(w, Some(b)).unwrap().with_adapter(adapter).unwrap();
        let with_offset = |a: &Param, b: &Param| {
            layer(&Adapter::new(a, b, SCALE).unwrap().with_offset(&a0, &minus_b0).unwrap())
        };
        let (begins, moved) = (with_offset(&a0, &b0), with_offset(a, b2));
        let base = begins.without_adapter().forward(x.tensor()).unwrap();
        assert_eq!(flat(&begins.forward(x.tensor()).unwrap()), flat(&base), "to the bit");
        assert_eq!(flat(&begins.merged().unwrap().0), flat(w.tensor()));

        // The same function by other means: W + s B₁ A₁ as the weight.
        let offset = (minus_b0.tensor().matmul(a0.tensor()).unwrap() * SCALE).unwrap();
        let residual = Param::frozen(&(w.tensor().detach() + offset).unwrap());
        let residual = Linear::new(&residual, Some(b)).unwrap();
        let residual = residual.with_adapter(&Adapter::new(a, b2, SCALE).unwrap()).unwrap();
        let mut found = outcome(&params, |x| moved.forward(x));
        found.remove(2); // The residual of W has no gradient of its own.
        assert!(distance(&found, &outcome(&params, |x| residual.forward(x))) < 3e-6);
        let merged = [&moved, &residual].map(|layer| vec![flat(&layer.merged().unwrap().0)]);
        assert!(distance(&merged[0], &merged[1]) < 3e-6);
    }
}

/// A layer with dropout, run as a part of a model.
fn dropped(layer: &Linear, x: &Tensor, noise: &Noise, again: bool) -> Tensor {
    let (layer, draw) = (layer.clone(), noise.draw(3));
    let run = move |tape: &mut Tape, x: &_| {
        tape.draw_from(draw);
        tape.linear(x, &layer)
    };
    if again {
        checkpoint("test", x, move |tape, x| run(tape, &x)).unwrap()
    } else {
        record("test", [x], |tape, [x]| run(tape, &x)).unwrap()
    }
}

#[test]
fn dropout_is_a_function_of_the_pass() {
    for with_magnitude in [false, true] {
        let params = params(40, DType::F32);
        let [_, w, b, a, b2, _, m] = &params;
        let adapter = Adapter::new(a, b2, SCALE).unwrap().with_dropout(0.5);
        let adapter = if with_magnitude { adapter.with_magnitude(m) } else { adapter };
        let layer = Linear::new(w, Some(b)).unwrap().with_adapter(&adapter).unwrap();
        let noise = Noise::new(); // silent until a pass begins
        let run = |pass: u64, again: bool| {
            noise.begin(pass);
            outcome(&params, |x| Ok(dropped(&layer, x, &noise, again)))
        };
        let first = run(1, false);
        assert_eq!(first, run(1, true), "computed again for its gradient");
        assert_ne!(first, run(2, false));
        let silent = outcome(&params, |x| Ok(dropped(&layer, x, &Noise::default(), false)));
        assert_eq!(silent, outcome(&params, |x| layer.forward(x)), "nobody trains");
        // What is dropped is dropped of the adapter alone, and its mean stays.
        let passes = 4000;
        let mut mean = vec![0.0; first[0].len()];
        for pass in 0..passes {
            noise.begin(pass);
            let y = dropped(&layer, params[0].tensor(), &noise, false).detach();
            let y = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            mean.iter_mut().zip(y).for_each(|(mean, y)| *mean += f64::from(y) / passes as f64);
        }
        let off = mean.iter().zip(&silent[0]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 0.12, "{off}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let [_, w, _, a, b2, bias, _] = &params(1, DType::F32);
    let layer = || Linear::new(w, None).unwrap();
    assert!(Adapter::new(a, &Param::frozen(&values(&[5, 3], 1)), 1.0).is_err());
    let turned = Adapter::new(&Param::frozen(&values(&[2, 5], 1)), b2, 1.0).unwrap();
    assert!(layer().with_adapter(&turned).is_err());
    let short = Param::frozen(&bias.tensor().narrow(0, 0, 3).unwrap());
    let adapter = || Adapter::new(a, b2, 1.0).unwrap();
    assert!(layer().with_adapter(&adapter().with_bias(&short)).is_err());
    assert!(layer().with_adapter(&adapter().with_magnitude(&short)).is_err());
}
