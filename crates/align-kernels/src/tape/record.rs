//! A tape as one op of candle's graph.
//!
//! candle records an op if one of its inputs is tracked and asks it for the gradients of its inputs. Ours answer `None`
//! for a parameter and write to its [`GradBuffer`](crate::GradBuffer) instead: that saves candle's zero + add +
//! transposed add per weight, and leaves its `GradStore` empty of parameters.

use std::sync::Mutex;

use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, MetalStorage, Result, Shape, Tensor,
    bail,
};

use super::hand_over::HandOver;
use super::{Tape, Value};

/// The value of `part` of the inputs, as one op of candle's graph called `name`. Without anything tracked it is no
/// op at all, and nothing is kept for a way back.
///
/// Gradients of parameters go to their buffers. There is one backward pass: it frees what it has used.
///
/// # Errors
/// What `part` raises; more than three tracked inputs.
pub fn record<const N: usize>(
    name: &'static str,
    inputs: [&Tensor; N],
    part: impl FnOnce(&mut Tape, [Value; N]) -> Result<Value>,
) -> Result<Tensor> {
    let (tape, value) = run(&inputs, part)?;
    let Some(output) = value.slot else { return Ok(value.tensor) };
    let (parameter, value) =
        (tape.parameter.clone(), HandOver::new(value.tensor.clone(), value.shared.get()));
    // candle holds on to the op until its whole graph goes. What the way back needs is freed on the way, and gradients take its place.
    let tape = Mutex::new(Some(tape));
    let backward = move |grad: &Tensor| match tape.lock().expect("no holder of this lock can panic").take() {
        Some(tape) => tape.back(output, grad.detach(), N),
        None => bail!(
            "{name}: this graph has been gone back through, and what it kept is freed; compute the loss again"
        ),
    };
    apply(Recorded { name, value, backward }, &inputs, parameter)
}

/// [`record`] that keeps the input alone, and runs `part` once more in the backward pass (activation checkpointing, Chen
/// et al. 2016, arXiv:1604.06174).
///
/// Values and gradients are those of [`record`], bit for bit, as long as `part` gives the same result each time.
///
/// # Errors
/// What `part` raises, now or in the backward pass.
pub fn checkpoint(
    name: &'static str,
    x: &Tensor,
    part: impl Fn(&mut Tape, Value) -> Result<Value> + Send + Sync + 'static,
) -> Result<Tensor> {
    let only = |tape: &mut Tape, [x]: [Value; 1]| part(tape, x);
    let (tape, value) = run(&[x], only)?;
    if value.slot.is_none() {
        return Ok(value.tensor);
    }
    let (parameter, shared) = (tape.parameter.clone(), value.shared.get());
    drop(tape);
    let (input, is_tracked) = (x.detach(), x.track_op());
    let backward = move |grad: &Tensor| {
        let mut tape = Tape::default();
        let x = tape.input(&input, is_tracked);
        match part(&mut tape, x)?.slot {
            Some(output) => tape.back(output, grad.detach(), 1),
            None => bail!("{name}: what was tracked in the forward pass is not in the backward pass"),
        }
    };
    let value = HandOver::new(value.tensor, shared);
    apply(Recorded { name, value, backward }, &[x], parameter)
}

/// A tape on which `part` has run.
fn run<const N: usize>(
    inputs: &[&Tensor; N],
    part: impl FnOnce(&mut Tape, [Value; N]) -> Result<Value>,
) -> Result<(Tape, Value)> {
    let mut tape = Tape::default();
    let values = inputs.map(|input| tape.input(input, input.track_op()));
    let value = part(&mut tape, values)?;
    Ok((tape, value))
}

impl Tape {
    /// An input: the slots of inputs are the first ones, those of untracked inputs stay empty.
    fn input(&mut self, tensor: &Tensor, is_tracked: bool) -> Value {
        let (constant, slot) = (self.constant(tensor), self.slot());
        Value { slot: is_tracked.then_some(slot), ..constant }
    }
}

/// An op whose value is computed already, over those of its inputs that are tracked; without one, over a parameter.
struct Recorded<F> {
    name: &'static str,
    value: HandOver,
    /// From the gradient of the value to those of all inputs.
    backward: F,
}

fn apply<F>(op: Recorded<F>, inputs: &[&Tensor], parameter: Option<Tensor>) -> Result<Tensor>
where
    F: Fn(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
{
    let Recorded { name, value, backward } = op;
    let tracked: Vec<bool> = inputs.iter().map(|input| input.track_op()).collect();
    let args: Vec<&Tensor> = inputs.iter().copied().filter(|input| input.track_op()).collect();
    let backward = move |grad: &Tensor| {
        let grads = backward(grad)?.into_iter().zip(&tracked).filter(|(_, tracked)| **tracked);
        grads
            .map(|(grad, _)| match grad {
                Some(grad) => Ok(Some(grad)),
                None => bail!("{name}: the result does not depend on the input"),
            })
            .collect::<Result<Vec<_>>>()
    };
    let op = Recorded { name, value, backward };
    match (args.as_slice(), parameter) {
        ([], Some(parameter)) => parameter.apply_op1(Recorded {
            name,
            value: op.value,
            backward: move |grad: &Tensor| {
                (op.backward)(grad)?;
                Ok(vec![None])
            },
        }),
        ([a], _) => a.apply_op1(op),
        ([a, b], _) => a.apply_op2(b, op),
        ([a, b, c], _) => a.apply_op3(b, c, op),
        (args, _) => bail!("{name}: {} inputs have a gradient, candle's ops take up to three", args.len()),
    }
}

macro_rules! forward_is_the_value {
    ($op:ident, $($storage:ident $layout:ident),+; $bwd:item) => {
        impl<F> $op for Recorded<F>
        where
            F: Fn(&Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync,
        {
            fn name(&self) -> &'static str {
                self.name
            }

            fn cpu_fwd(&self, $($storage: &CpuStorage, $layout: &Layout),+) -> Result<(CpuStorage, Shape)> {
                $(let _ = ($storage, $layout);)+
                self.value.on_cpu()
            }

            fn cuda_fwd(&self, $($storage: &CudaStorage, $layout: &Layout),+) -> Result<(CudaStorage, Shape)> {
                $(let _ = ($storage, $layout);)+
                self.value.on_cuda()
            }

            fn metal_fwd(&self, $($storage: &MetalStorage, $layout: &Layout),+) -> Result<(MetalStorage, Shape)> {
                $(let _ = ($storage, $layout);)+
                self.value.on_metal()
            }

            $bwd
        }
    };
}

impl<F> Recorded<F>
where
    F: Fn(&Tensor) -> Result<Vec<Option<Tensor>>>,
{
    fn gradients<const N: usize>(&self, grad: &Tensor) -> Result<[Option<Tensor>; N]> {
        (self.backward)(grad)?.try_into().map_err(|_| candle_core::Error::msg("one gradient per input"))
    }
}

forward_is_the_value!(CustomOp1, _s1 _l1;
    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [first] = self.gradients(grad)?;
        Ok(first)
    }
);

forward_is_the_value!(CustomOp2, _s1 _l1, _s2 _l2;
    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [first, second] = self.gradients(grad)?;
        Ok((first, second))
    }
);

forward_is_the_value!(CustomOp3, _s1 _l1, _s2 _l2, _s3 _l3;
    fn bwd(
        &self, _: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor, grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [first, second, third] = self.gradients(grad)?;
        Ok((first, second, third))
    }
);
