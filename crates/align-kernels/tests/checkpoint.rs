//! A checkpointed part of a graph has the values and gradients of the part itself, and keeps none of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use align_kernels::{Param, checkpoint, linear, rms_norm, swiglu};
use candle_core::{Device, Result, Tensor, Var};

const WIDTH: usize = 12;

struct Block {
    norm: Param,
    gate: Param,
    up: Param,
}

impl Block {
    fn new() -> Self {
        let weight = |shape: &[usize], seed: usize| {
            let count = shape.iter().product();
            let values: Vec<f32> = (0..count).map(|i| ((i * seed) % 17) as f32 / 17.0 - 0.4).collect();
            Param::tracked(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
        };
        Self { norm: weight(&[WIDTH], 5), gate: weight(&[WIDTH, WIDTH], 7), up: weight(&[WIDTH, WIDTH], 11) }
    }

    fn run(&self, x: &Tensor) -> Result<Tensor> {
        let normed = rms_norm(x, &self.norm, 1e-5)?;
        x + swiglu(&linear(&normed, &self.gate, None)?, &linear(&normed, &self.up, None)?)?
    }

    fn grads(&self) -> Vec<Vec<f32>> {
        let grad = |param: &Param| param.grad_buffer().unwrap().get().unwrap();
        [&self.norm, &self.gate, &self.up].map(|p| grad(p).flatten_all().unwrap().to_vec1().unwrap()).into()
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
    checkpoint(x, move |x| block.run(x))
}

#[test]
fn values_and_gradients_are_the_same_to_the_bit() {
    assert_eq!(pass(checkpointed), pass(|block, x| block.run(x)));
}

#[test]
fn it_runs_once_forward_and_once_backward() {
    let (x, runs) = (input(), Arc::new(AtomicUsize::new(0)));
    let count = runs.clone();
    let y = checkpoint(x.as_tensor(), move |x| {
        count.fetch_add(1, Ordering::Relaxed);
        x.sqr()
    });
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    let grads = y.unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
    let twice = (x.as_tensor() * 2.0).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(grads.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap(), twice);
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
    let y = checkpoint(input().as_tensor(), |x| Tensor::zeros(x.shape(), x.dtype(), x.device())).unwrap();
    assert!(y.sum_all().unwrap().backward().is_err());
}
