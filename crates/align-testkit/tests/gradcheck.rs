//! The gradient check itself: it must pass what is right and find what is wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use align_testkit::{assert_gradients, gradcheck, gradcheck_against, projection};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};

fn inputs() -> [Tensor; 2] {
    let x = Tensor::new(&[[0.3f64, -1.2, 2.0], [0.7, 0.1, -0.4]], &Device::Cpu).unwrap();
    let y = Tensor::new(&[[1.1f64], [-0.6], [0.2]], &Device::Cpu).unwrap();
    [x, y]
}

#[test]
fn candle_ops_over_several_inputs_pass() {
    assert_gradients(&inputs(), 1e-9, |inputs| inputs[0].exp()?.matmul(&inputs[1].tanh()?));
}

#[test]
fn a_gradient_that_stops_is_found_and_located() {
    let report = gradcheck(&inputs(), |inputs| inputs[0].matmul(&inputs[1].detach())).unwrap();
    assert_eq!((report.input, report.analytic), (1, 0.0));
    assert!(report.relative > 0.99, "{report}");
}

/// x² whose backward claims the slope x.
struct WrongSquare;

impl CustomOp1 for WrongSquare {
    fn name(&self) -> &'static str {
        "wrong-square"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let values = storage.as_slice::<f64>()?;
        Ok((CpuStorage::F64(values.iter().map(|x| x * x).collect()), layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(arg.mul(grad)?))
    }
}

#[test]
fn a_wrong_factor_is_found() {
    let report = gradcheck(&inputs()[..1], |inputs| inputs[0].apply_op1(WrongSquare)).unwrap();
    assert!((report.relative - 0.5).abs() < 1e-6, "{report}");
}

#[test]
fn a_gradient_brought_by_the_caller_is_checked() {
    let [x, y] = inputs();
    let weights = projection(&[2, 1], &Device::Cpu).unwrap();
    let loss = |inputs: &[Tensor]| inputs[0].matmul(&inputs[1])?.mul(&weights)?.sum_all();
    let dx = weights.matmul(&y.t().unwrap()).unwrap();
    let dy = x.t().unwrap().matmul(&weights).unwrap();
    let right = gradcheck_against(&[x.clone(), y.clone()], &[dx.clone(), dy.clone()], loss).unwrap();
    assert!(right.relative < 1e-9 && right.checked == 9, "{right}");
    let wrong = gradcheck_against(&[x, y], &[dx, (dy * 1.01).unwrap()], loss).unwrap();
    assert!(wrong.relative > 5e-3 && wrong.input == 1, "{wrong}");
}

#[test]
fn a_nan_gradient_is_the_worst_there_is() {
    let [x, _] = inputs();
    let nan = (x.zeros_like().unwrap() / 0.0).unwrap();
    let report = gradcheck_against(&[x], &[nan], |inputs| inputs[0].sum_all()).unwrap();
    assert_eq!(report.relative, f64::INFINITY);
}
