//! A checkpointed part has the values and gradients of the part itself, and keeps none of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use align_kernels::{Activation, Linear, Param, RmsNorm, Tape, Value, checkpoint, record};
use candle_core::{Device, Result, Tensor, Var};

const WIDTH: usize = 12;

struct Block {
    norm: Param,
    gate: Linear,
    up: Linear,
}

impl Block {
    fn new() -> Self {
        let weight = |shape: &[usize], seed: usize| {
            let count = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|i| ((i * seed) % 17) as f32 / 17.0 - 0.4).collect();
            Param::tracked(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
        };
        let linear = |seed: usize| Linear::new(&weight(&[WIDTH, WIDTH], seed), None).unwrap();
        Self { norm: weight(&[WIDTH], 5), gate: linear(7), up: linear(11) }
    }

    fn run(&self, tape: &mut Tape, x: &Value) -> Result<Value> {
        let normed = tape.rms_norm(x, &RmsNorm::new(&self.norm, 1e-5))?;
        let [gate, up] = tape.linears(&normed, [&self.gate, &self.up])?;
        let unit = tape.gated(Activation::Silu, &gate, &up)?;
        tape.add(x, unit)
    }

    fn grads(&self) -> Vec<Vec<f32>> {
        let grad = |param: &Param| param.grad_buffer().unwrap().get().unwrap();
        let params = [&self.norm, self.gate.weight().param().unwrap(), self.up.weight().param().unwrap()];
        params.map(|p| grad(p).flatten_all().unwrap().to_vec1().unwrap()).into()
    }
}

fn input() -> Var {
    let values: Vec<f32> = (0..5 * WIDTH).map(|i| (i as f32 * 0.7).sin()).collect();
    Var::from_vec(values, (5, WIDTH), &Device::Cpu).unwrap()
}

/// Loss, gradient of the input, gradients of the parameters, for two blocks after one another.
fn pass(layer: impl Fn(&Arc<Block>, &Tensor) -> Result<Tensor>) -> (f32, Vec<f32>, Vec<Vec<f32>>) {
    let (x, blocks) = (input(), [Arc::new(Block::new()), Arc::new(Block::new())]);
    let y = blocks.iter().try_fold(x.as_tensor().clone(), |x, block| layer(block, &x)).unwrap();
    let loss = y.sqr().unwrap().mean_all().unwrap();
    let grads = loss.backward().unwrap();
    let dx = grads.get(&x).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    (loss.to_scalar().unwrap(), dx, blocks.iter().flat_map(|block| block.grads()).collect())
}

fn checkpointed(block: &Arc<Block>, x: &Tensor) -> Result<Tensor> {
    let block = block.clone();
    checkpoint("block", x, move |tape, x| block.run(tape, &x))
}

#[test]
fn values_and_gradients_are_the_same_to_the_bit() {
    let recorded = pass(|block, x| record("block", [x], |tape, [x]| block.run(tape, &x)));
    assert_eq!(pass(checkpointed), recorded);
}

#[test]
fn it_runs_once_forward_and_once_backward() {
    let (x, runs) = (input(), Arc::new(AtomicUsize::new(0)));
    let count = runs.clone();
    let y = checkpoint("double", x.as_tensor(), move |tape, x| {
        count.fetch_add(1, Ordering::Relaxed);
        tape.scale(x, 2.0)
    });
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let grads = y.unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    assert_eq!(grads.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(), [2.0; 5 * WIDTH]);
}

/// Frozen embeddings make such an input: the layers above them must still learn.
#[test]
fn an_input_without_gradient_does_not_cut_the_parameters_off() {
    let block = Arc::new(Block::new());
    let y = checkpointed(&block, &input().as_tensor().detach()).unwrap();
    drop(y.sqr().unwrap().mean_all().unwrap().backward().unwrap());
    assert!(block.grads().iter().all(|grad| grad.iter().any(|x| *x != 0.0)));
}

#[test]
fn a_result_that_ignores_the_input_is_refused() {
    let vector = Param::tracked(&Tensor::ones(3, candle_core::DType::F32, &Device::Cpu).unwrap()).unwrap();
    let ignores = move |tape: &mut Tape, _: Value| tape.param(&vector);
    for y in [
        checkpoint("ignores", input().as_tensor(), ignores.clone()),
        record("ignores", [input().as_tensor()], |tape, [x]| ignores(tape, x)),
    ] {
        let error = y.unwrap().sum_all().unwrap().backward().unwrap_err().to_string();
        assert!(error.contains("ignores: the result does not depend on the input"), "{error}");
    }
}
