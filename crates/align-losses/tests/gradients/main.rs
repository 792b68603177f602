//! Gradients against finite differences: at random points, at zero, at ties, at saturation, under masks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod offline;
#[expect(dead_code, reason = "the laws in it that `properties` tests")]
mod table;

use align_losses::{
    k1, k2, k3, label_log_probs, log_sigmoid, masked_mean, masked_sequence_log_probs, nll,
    sequence_log_probs, shift_mask, shifted_log_probs,
};
use align_testkit::assert_gradients;
use candle_core::{DType, Device, Result, Tensor, Var};

/// Of five-point differences in f64; the house rule asks for 1e-6.
const TOLERANCE: f64 = 1e-7;

fn tensor<const N: usize>(values: [f64; N]) -> Tensor {
    Tensor::new(&values, &Device::Cpu).unwrap()
}

fn slope(x: f64, dtype: DType, f: impl Fn(&Tensor) -> Result<Tensor>) -> f64 {
    let x = Var::from_tensor(&tensor([x]).to_dtype(dtype).unwrap()).unwrap();
    let grads = f(&x).unwrap().sum_all().unwrap().backward().unwrap();
    grads.get(&x).unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()[0]
}

fn value(x: f64, dtype: DType) -> f64 {
    let y = log_sigmoid(&tensor([x]).to_dtype(dtype).unwrap()).unwrap();
    y.to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()[0]
}

#[test]
fn log_sigmoid_has_slope_one_half_at_zero_exactly() {
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        assert_eq!(slope(0.0, dtype, log_sigmoid), 0.5, "{dtype:?}");
        assert_eq!(slope(-0.0, dtype, log_sigmoid), 0.5, "{dtype:?}");
    }
}

#[test]
fn log_sigmoid_is_exact_where_naive_forms_lose_everything() {
    for dtype in [DType::F64, DType::F32] {
        for x in [30.0, 88.0] {
            let exact = -f64::exp(-x);
            assert!((value(x, dtype) / exact - 1.0).abs() < 1e-6, "{x} {dtype:?}: {}", value(x, dtype));
            assert!((slope(x, dtype, log_sigmoid) / -exact - 1.0).abs() < 1e-6, "{x} {dtype:?}");
        }
        for x in [120.0, 200.0, 1e4] {
            assert_eq!((value(-x, dtype), slope(-x, dtype, log_sigmoid)), (-x, 1.0), "{x} {dtype:?}");
            assert!(
                value(x, dtype).abs() < 1e-38 && slope(x, dtype, log_sigmoid).abs() < 1e-38,
                "{x} {dtype:?}"
            );
        }
        assert_eq!(value(0.0, dtype), if dtype == DType::F64 { -(2f64.ln()) } else { -f64::from(2f32.ln()) });
    }
}

#[test]
fn log_sigmoid_gradient() {
    let x = tensor([0.0, 1e-9, -1e-9, 0.3, -0.3, 4.0, -4.0, 15.0, -40.0, 200.0, -200.0, 1e4, -1e4]);
    assert_gradients(&[x], TOLERANCE, |inputs| log_sigmoid(&inputs[0]));
}

#[test]
fn label_log_prob_gradient_with_ties_and_large_values() {
    let logits =
        Tensor::new(&[[1.0f64, 1.0, 1.0], [200.0, -200.0, 199.5], [1e4, 1e4, 0.2]], &Device::Cpu).unwrap();
    let labels = Tensor::new(&[2u32, 1, 0], &Device::Cpu).unwrap();
    assert_gradients(&[logits], TOLERANCE, |inputs| label_log_probs(&inputs[0], &labels));
}

#[test]
fn kl_estimator_gradients() {
    let reference = tensor([-2.0, -2.0, -2.0, -2.0, -2.0, -2.0, -2.0, -2.0]);
    // r = 0 (a tie), tiny, on both sides of where k3 changes its form (0.25), and large.
    let sampled = tensor([-2.0, -2.000_01, -1.9, -2.25, -1.750_01, -2.249_99, -9.0, 30.0]);
    for estimator in [k1, k2, k3] {
        assert_gradients(std::slice::from_ref(&sampled), TOLERANCE, |inputs| {
            estimator(&inputs[0], &reference)
        });
    }
}

#[test]
fn sequence_gradients_packed_and_padded() {
    let tokens = tensor([-1.0, -0.2, -3.0, 0.0, -200.0]);
    assert_gradients(&[tokens], TOLERANCE, |inputs| sequence_log_probs(&inputs[0], &[0, 2, 0, 2, 0], 3));

    let logits = Tensor::arange(0f64, 24.0, &Device::Cpu).unwrap().sin().unwrap().reshape((2, 4, 3)).unwrap();
    let ids = Tensor::new(&[[0u32, 1, 2, 0], [1, 1, 0, 2]], &Device::Cpu).unwrap();
    let mask = shift_mask(&Tensor::new(&[[0u8, 0, 1, 1], [1, 1, 0, 0]], &Device::Cpu).unwrap()).unwrap();
    assert_gradients(&[logits], TOLERANCE, |inputs| {
        masked_sequence_log_probs(&shifted_log_probs(&inputs[0], &ids)?, &mask)
    });
}

#[test]
fn what_the_mask_leaves_out_may_be_anything_and_gets_no_gradient() {
    let log_probs = Var::from_tensor(&tensor([-1.0, f64::NEG_INFINITY, f64::NAN])).unwrap();
    let mask = Tensor::new(&[1u8, 0, 0], &Device::Cpu).unwrap();
    let loss = masked_mean(&nll(&log_probs, &mask).unwrap(), &mask).unwrap();
    assert_eq!(loss.to_scalar::<f64>().unwrap(), 1.0);
    let grads = loss.backward().unwrap();
    assert_eq!(grads.get(&log_probs).unwrap().to_vec1::<f64>().unwrap(), [-1.0, 0.0, 0.0]);
}
