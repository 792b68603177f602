//! A part of a model as a chain of ops with one way back.
//!
//! candle's backward pass fills a zeroed tensor for the gradient of every tensor of its graph and adds to it, on one
//! thread. A [`Tape`] notes how to get back through the ops of a part of a model (a layer, say), and candle sees the
//! part as one op ([`record`]): gradients between the ops go where they are needed and no further. What a part computes
//! is written once, for every device, with and without gradient.

mod gradient;
mod hand_over;
mod record;
mod rounded;

use std::cell::Cell;
use std::ops::Range;

use candle_core::{Result, Tensor};

use crate::{Draw, Param, cpu};
use gradient::Gradient;
pub(crate) use gradient::{add_in_place, sum_of_rows, wide};
pub use record::{checkpoint, record};

/// The tape on which ops note their way back.
#[derive(Default)]
pub struct Tape {
    steps: Vec<Step>,
    /// How many values have a gradient.
    slots: usize,
    /// The first tracked parameter that an op used: what candle's graph hangs on where no input has a gradient.
    parameter: Option<Tensor>,
    /// What dropout draws from, if it is heard.
    pub(crate) draw: Option<Draw>,
}

/// A tensor on a tape. It has a gradient if an input that has one, or a tracked parameter, went into it.
#[derive(Debug)]
pub struct Value {
    tensor: Tensor,
    slot: Option<usize>,
    /// Whether somebody else holds the storage too, so that nobody may write to it.
    shared: Cell<bool>,
}

/// From the gradient of an op's value to that of its one input.
pub(crate) type WayBack = Box<dyn FnOnce(&Tensor) -> Result<[Option<Tensor>; 1]> + Send + Sync>;

/// From the gradients of an op's values, of which at least one has arrived, to those of its inputs.
type Back = Box<dyn FnOnce(Vec<Option<Gradient>>) -> Result<Vec<Option<Gradient>>> + Send + Sync>;

/// The way back through an op.
struct Step {
    name: &'static str,
    inputs: Vec<Option<usize>>,
    outputs: Range<usize>,
    back: Back,
}

impl Value {
    /// The tensor, outside any graph.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// True if a gradient is wanted.
    pub fn is_tracked(&self) -> bool {
        self.slot.is_some()
    }

    /// Whether somebody else holds the storage too.
    pub(crate) fn is_shared(&self) -> bool {
        self.shared.get()
    }

    /// The tensor for an op that needs it on its way back.
    pub(crate) fn keep(&self) -> Tensor {
        self.shared.set(true);
        self.tensor.clone()
    }
}

impl Tape {
    /// A value without gradient.
    pub fn constant(&self, tensor: &Tensor) -> Value {
        Value { tensor: tensor.detach(), slot: None, shared: Cell::new(true) }
    }

    /// A parameter as a value, for ops that know none: meant for vectors.
    pub fn param(&mut self, param: &Param) -> Result<Value> {
        let constant = self.constant(param.tensor());
        let Some(buffer) = param.grad_buffer().cloned() else { return Ok(constant) };
        let value = self.push("param", [], [param], constant.keep(), move |grad: &Tensor| {
            buffer.accumulate(&grad.copy()?)?;
            Ok([])
        });
        Ok(Value { shared: Cell::new(true), ..value })
    }

    /// A tensor that an op computed without a way back.
    pub(crate) fn fresh(&self, tensor: Tensor) -> Value {
        Value { tensor, slot: None, shared: Cell::new(false) }
    }

    /// Notes an op: what went into it, its parameters, its value, and the way from the gradient of the value to those of
    /// the inputs, in storage of their own; none for an input that [has none](Value::is_tracked).
    pub(crate) fn push<'a, const N: usize>(
        &mut self,
        name: &'static str,
        inputs: [&Value; N],
        params: impl IntoIterator<Item = &'a Param>,
        tensor: Tensor,
        back: impl FnOnce(&Tensor) -> Result<[Option<Tensor>; N]> + Send + Sync + 'static,
    ) -> Value {
        let back = move |grad: Gradient| {
            Ok(back(grad.tensor())?.into_iter().map(|grad| grad.map(Gradient::own)).collect())
        };
        self.push_step(name, inputs, params, tensor, back)
    }

    /// [`Tape::push`] for an op of several values: none for the gradient of one that nothing was computed from.
    pub(crate) fn push_all<'a, const N: usize, const M: usize>(
        &mut self,
        name: &'static str,
        inputs: [&Value; N],
        params: impl IntoIterator<Item = &'a Param>,
        tensors: [Tensor; M],
        back: impl FnOnce(&[Option<&Tensor>]) -> Result<[Option<Tensor>; N]> + Send + Sync + 'static,
    ) -> [Value; M] {
        let back = move |grads: Vec<Option<Gradient>>| {
            let grads: Vec<_> = grads.iter().map(|grad| grad.as_ref().map(Gradient::tensor)).collect();
            Ok(back(&grads)?.into_iter().map(|grad| grad.map(Gradient::own)).collect())
        };
        self.push_steps(name, inputs, params, tensors, Box::new(back))
    }

    /// [`Tape::push`] where gradients may look into each other's storage.
    fn push_step<'a, const N: usize>(
        &mut self,
        name: &'static str,
        inputs: [&Value; N],
        params: impl IntoIterator<Item = &'a Param>,
        tensor: Tensor,
        back: impl FnOnce(Gradient) -> Result<Vec<Option<Gradient>>> + Send + Sync + 'static,
    ) -> Value {
        let back = move |grads: Vec<Option<Gradient>>| match grads.into_iter().next().flatten() {
            Some(grad) => back(grad),
            None => Ok(Vec::new()),
        };
        let [value] = self.push_steps(name, inputs, params, [tensor], Box::new(back));
        value
    }

    fn push_steps<'a, const N: usize, const M: usize>(
        &mut self,
        name: &'static str,
        inputs: [&Value; N],
        params: impl IntoIterator<Item = &'a Param>,
        tensors: [Tensor; M],
        back: Back,
    ) -> [Value; M] {
        let parameter = params.into_iter().find(|param| param.is_tracked());
        let inputs = inputs.map(|input| input.slot);
        let mut first = None;
        if parameter.is_some() || inputs.iter().any(Option::is_some) {
            self.parameter = self.parameter.take().or_else(|| parameter.map(|param| param.tensor().clone()));
            let outputs = self.slots..self.slots + M;
            self.slots = outputs.end;
            first = Some(outputs.start);
            self.steps.push(Step { name, inputs: inputs.to_vec(), outputs, back });
        }
        let mut index = 0;
        tensors.map(|tensor| {
            let slot = first.map(|first| first + index);
            index += 1;
            Value { tensor, slot, shared: Cell::new(false) }
        })
    }

    fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots - 1
    }

    /// `x + y`, in the storage of `y` where nobody else holds it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "it is given up: the sum may be written to its storage"
    )]
    pub fn add(&mut self, x: &Value, y: Value) -> Result<Value> {
        let sum = gradient::sum_of(Gradient::of(&y), Gradient::shared(x.tensor.clone()))?;
        let both = |grad: Gradient| Ok(vec![Some(grad.share()), Some(grad.share())]);
        Ok(self.push_step("add", [x, &y], [], sum, both))
    }

    /// `factor · x`; for a factor of 1, `x` itself.
    pub fn scale(&mut self, x: Value, factor: f64) -> Result<Value> {
        if factor == 1.0 {
            return Ok(x);
        }
        let scaled = (x.tensor() * factor)?;
        Ok(self.push("scale", [&x], [], scaled, move |grad: &Tensor| Ok([Some((grad * factor)?)])))
    }

    /// Each row of `x` times its entry of `scales`, which has the same number of dimensions.
    pub fn scale_rows(&mut self, x: &Value, scales: &Tensor) -> Result<Value> {
        let (scaled, scales) = (x.tensor().broadcast_mul(scales)?, scales.clone());
        Ok(self.push("scale_rows", [x], [], scaled, move |grad: &Tensor| {
            Ok([Some(grad.broadcast_mul(&scales)?)])
        }))
    }

    /// The same elements in another shape.
    #[expect(clippy::needless_pass_by_value, reason = "it is given up: the result has its storage")]
    pub fn reshape(&mut self, x: Value, shape: impl Into<candle_core::Shape>) -> Result<Value> {
        let (before, after) = (x.tensor.shape().clone(), x.tensor.reshape(shape.into())?);
        let back = move |grad: Gradient| Ok(vec![Some(grad.reshape(&before)?)]);
        let value = self.push_step("reshape", [&x], [], after, back);
        value.shared.set(x.shared.get());
        Ok(value)
    }

    /// The columns of `x`, and those of `y` beside them.
    pub(crate) fn beside(&mut self, x: &Value, y: &Value) -> Result<Value> {
        let value = Tensor::cat(&[x.tensor(), y.tensor()], 1)?;
        let (first, more) = (x.tensor().dim(1)?, y.tensor().dim(1)?);
        let wanted = [x.is_tracked(), y.is_tracked()];
        Ok(self.push("beside", [x, y], [], value, move |grad: &Tensor| {
            let part = |wanted: bool, start, len| {
                if wanted { grad.narrow(1, start, len)?.force_contiguous().map(Some) } else { Ok(None) }
            };
            Ok([part(wanted[0], 0, first)?, part(wanted[1], first, more)?])
        }))
    }

    /// Whether the ops on these tensors have a form of their own on this device.
    pub(crate) fn on_cpu(tensors: &[&Tensor]) -> bool {
        cpu::has_form(tensors)
    }

    /// From the gradient of `output` back to those of the inputs `0 .. inputs`.
    fn back(self, output: usize, grad: Tensor, inputs: usize) -> Result<Vec<Option<Tensor>>> {
        let mut grads: Vec<Option<Gradient>> = std::iter::repeat_with(|| None).take(self.slots).collect();
        grads[output] = Some(Gradient::shared(grad));
        for step in self.steps.into_iter().rev() {
            let arrived: Vec<_> = grads[step.outputs.clone()].iter_mut().map(Option::take).collect();
            if arrived.iter().all(Option::is_none) {
                continue;
            }
            let context =
                |error: candle_core::Error| error.context(format!("the backward pass of {}", step.name));
            for (slot, grad) in step.inputs.iter().zip((step.back)(arrived).map_err(context)?) {
                if let (Some(slot), Some(grad)) = (slot, grad) {
                    gradient::add(&mut grads[*slot], grad)?;
                }
            }
        }
        grads.truncate(inputs);
        Ok(grads.into_iter().map(|grad| grad.map(Gradient::into_tensor)).collect())
    }
}
