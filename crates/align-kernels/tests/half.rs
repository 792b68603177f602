//! The composed forms in bf16 against f64 on the same numbers: norms, caps, softmaxes and sums are formed in f32, so that
//! what is lost is the rounding of operands and results, however long the sums are. They are what runs on a GPU.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]
#![expect(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

use align_kernels::{
    Activation, Head, Looking, Param, RmsNorm, Segment, Segments, SoftCap, gated, linear, record,
};
use candle_core::{DType, Device, Result, Tensor};

const CPU: Device = Device::Cpu;

/// Numbers that bf16 has.
fn values(shape: &[usize], seed: usize, scale: f32) -> Tensor {
    let n: usize = shape.iter().product();
    let entry = |i: usize| scale * ((((i + 1) * 7919 + seed * 104_729) % 509) as f32 / 254.0 - 1.0);
    let values = Tensor::from_vec((0..n).map(entry).collect(), shape, &CPU).unwrap();
    values.to_dtype(DType::BF16).unwrap().to_dtype(DType::F32).unwrap()
}

type Op<'a> = &'a dyn Fn(&[Param]) -> Result<Tensor>;

/// The value, and the gradients of all parameters.
fn results(op: Op<'_>, inputs: &[Tensor], dtype: DType) -> Vec<Vec<f64>> {
    let params: Vec<_> =
        inputs.iter().map(|input| Param::tracked(&input.to_dtype(dtype).unwrap()).unwrap()).collect();
    let y = op(&params).unwrap();
    let weights = values(y.dims(), 99, 1.0).to_dtype(y.dtype()).unwrap();
    let grads = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let grad = |param: &Param| {
        let buffer = param.grad_buffer().unwrap().get();
        buffer.or_else(|| grads.get(param.tensor()).cloned()).expect("a gradient")
    };
    let flat = |x: &Tensor| x.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap();
    [flat(&y)].into_iter().chain(params.iter().map(|param| flat(&grad(param)))).collect()
}

/// Differences of at most `roundings` halves of the last place of the largest entry.
fn check(name: &str, roundings: f64, op: Op<'_>, inputs: &[Tensor]) {
    let (found, exact) = (results(op, inputs, DType::BF16), results(op, inputs, DType::F64));
    for (which, (found, exact)) in found.iter().zip(&exact).enumerate() {
        let largest = exact.iter().fold(1e-30f64, |largest, x| largest.max(x.abs()));
        let worst = found.iter().zip(exact).map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max);
        assert!(worst <= roundings / 512.0, "{name}, result {which}: {} roundings", worst * 512.0);
    }
}

#[test]
fn sums_of_thousands_lose_no_more_than_the_rounding_of_what_goes_in_and_out() {
    let wide = [values(&[4, 4096], 1, 1.0), values(&[4096], 2, 1.0)];
    let norm = |p: &[Param]| {
        let norm = RmsNorm::new(&p[1], 1e-5);
        record("norm", [p[0].tensor()], |tape, [x]| tape.rms_norm(&x, &norm))
    };
    check("rms_norm", 3.0, &norm, &wide);
    let inputs = [values(&[4, 4096], 1, 1.0), values(&[8, 4096], 2, 1.0), values(&[8], 3, 1.0)];
    check("linear", 3.0, &|p| linear(p[0].tensor(), &p[1], Some(&p[2])), &inputs);

    let labels = Tensor::new(&[5u32, 0, 4999], &CPU).unwrap();
    for softcap in [None, Some(SoftCap::new(3.0))] {
        let log_probs = |p: &[Param]| Head { softcap, ..Head::new(&p[1]) }.log_probs(p[0].tensor(), &labels);
        let inputs = [values(&[3, 16], 1, 1.0), values(&[5000, 16], 2, 1.0)];
        check("log_probs", 4.0, &log_probs, &inputs);
    }
}

#[test]
fn units_and_caps_round_once_or_twice() {
    let inputs = [values(&[16, 64], 1, 4.0), values(&[16, 64], 2, 1.0)];
    for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh] {
        let unit = |p: &[Param]| gated(activation, p[0].tensor(), p[1].tensor());
        check(&format!("{activation:?}"), 6.0, &unit, &inputs);
    }
    let capped =
        |p: &[Param]| record("cap", [p[0].tensor()], |tape, [x]| tape.softcap(&x, SoftCap::new(2.0)));
    check("softcap", 3.0, &capped, &inputs[..1]);
}

#[test]
fn attention_over_a_thousand_keys_loses_no_more_than_over_ten() {
    for tokens in [10, 1000] {
        let segments = Segments::from(vec![Segment { queries: 0..tokens, keys: [0..tokens].to_vec() }]);
        let looking = Looking { scale: 0.3, window: None, softcap: Some(SoftCap::new(5.0)) };
        let attend = |p: &[Param]| {
            record("attend", [p[0].tensor(), p[1].tensor(), p[2].tensor()], |tape, [q, k, v]| {
                tape.attention([&q, &k, &v], &segments, looking)
            })
        };
        let inputs = [1, 2, 3].map(|seed| values(&[tokens, 2, 8], seed, 1.0));
        check(&format!("attention over {tokens} keys"), 8.0, &attend, &inputs);
    }
}
