//! A parameter: a tensor and, while it is being trained, the buffer its gradient is written to.
//!
//! Three ways of holding the same weight replace every `requires_grad` flag: *tracked* (a variable with
//! a gradient buffer), *view* (the same storage, no graph, no buffer: it sees every update) and *frozen*
//! (storage of its own that nothing updates).

use std::fmt;
use std::sync::{Arc, Mutex};

use candle_core::{Device, Result, Shape, Tensor, Var, bail};

use crate::tape::add_in_place;
use crate::{cpu, record};

/// A weight of a model. Cloning shares the storage and the gradient buffer.
#[derive(Clone, Debug)]
pub struct Param {
    tensor: Tensor,
    grad: Option<Arc<GradBuffer>>,
}

impl Param {
    /// A trainable parameter that starts from a copy of `tensor`.
    pub fn tracked(tensor: &Tensor) -> Result<Self> {
        // Of what is detached, and so no variable, `Var` makes a copy.
        let var = Var::from_tensor(&tensor.detach())?;
        Ok(Self { tensor: var.as_tensor().clone(), grad: Some(Arc::default()) })
    }

    /// A parameter that is never updated. Ops compute no gradient for it.
    pub fn frozen(tensor: &Tensor) -> Self {
        Self { tensor: tensor.detach(), grad: None }
    }

    /// A view: the same storage without graph or buffer. It sees every later [`Param::set`].
    pub fn view(&self) -> Self {
        Self { tensor: self.tensor.detach(), grad: None }
    }

    /// The value. Of a tracked parameter this is the variable itself, so plain candle ops on it are
    /// recorded; the ops of this crate write its gradient to [`Param::grad_buffer`] instead.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// True if ops on this parameter write a gradient.
    pub fn is_tracked(&self) -> bool {
        self.grad.is_some()
    }

    /// The buffer that backward passes write to; none for views and frozen parameters.
    pub fn grad_buffer(&self) -> Option<&Arc<GradBuffer>> {
        self.grad.as_ref()
    }

    /// The parameter as a tensor whose gradient goes to the buffer: for ops that have no accumulating
    /// form of their own. Costs one copy of the value, so it is meant for vectors (norms, biases).
    pub fn leaf(&self) -> Result<Tensor> {
        record("param", [], |tape, []| tape.param(self))
    }

    /// Overwrites the value in place; views see it.
    ///
    /// # Errors
    /// If the parameter is not tracked, or `value` has another shape or dtype.
    pub fn set(&self, value: &Tensor) -> Result<()> {
        if !self.tensor.is_variable() {
            bail!("cannot update a parameter that is a view or frozen");
        }
        Var::from_tensor(&self.tensor)?.set(value)
    }

    /// The device the parameter lives on.
    pub fn device(&self) -> &Device {
        self.tensor.device()
    }
}

/// The listener of a gradient buffer, who is told after each contribution to it.
pub type Written = Arc<dyn Fn() -> Result<()> + Send + Sync>;

/// The gradient buffer of a parameter, in which its backward passes add up.
#[derive(Default)]
pub struct GradBuffer {
    sum: Mutex<Option<Tensor>>,
    listener: Mutex<Option<Written>>,
}

impl GradBuffer {
    /// Adds `grad`, which must have the parameter's shape. The first contribution after
    /// [`GradBuffer::clear`] is kept, not copied: the caller must not use its storage again.
    pub fn accumulate(&self, grad: &Tensor) -> Result<()> {
        {
            let mut sum = self.sum.lock().expect("no holder of this lock can panic");
            *sum = Some(match sum.take() {
                None => grad.detach(),
                Some(total) => add_in_place(total, grad)?,
            });
        }
        self.tell()
    }

    /// Adds a contribution of that shape in place, for ops computed on f32 slices in main memory: `first`
    /// makes the buffer if there is none since [`GradBuffer::clear`], `more` adds to what is there.
    pub(crate) fn accumulate_in_place(
        &self,
        shape: &Shape,
        first: impl FnOnce() -> Vec<f32>,
        more: impl Fn(&mut [f32]),
    ) -> Result<()> {
        {
            let mut sum = self.sum.lock().expect("no holder of this lock can panic");
            match &*sum {
                None => *sum = Some(cpu::tensor(first(), shape)?),
                Some(total) if total.shape() != shape => {
                    bail!("gradient {shape:?} does not fit the buffer {:?}", total.shape())
                }
                Some(total) if cpu::is_f32_on_cpu(&[total]) && total.is_contiguous() => {
                    cpu::update(total, more)?
                }
                Some(total) => *sum = Some((total + cpu::tensor(first(), shape)?.to_dtype(total.dtype())?)?),
            }
        }
        self.tell()
    }

    /// Has a listener told after each contribution from now on, on the thread that made it; or nobody. An error of his ends the
    /// backward pass.
    pub fn tell_of_writes(&self, listener: Option<Written>) {
        *self.listener.lock().expect("no holder of this lock can panic") = listener;
    }

    fn tell(&self) -> Result<()> {
        let listener = self.listener.lock().expect("no holder of this lock can panic").clone();
        listener.map_or(Ok(()), |listener| listener())
    }

    /// The gradient accumulated since the last clear, or none if no backward pass wrote any.
    pub fn get(&self) -> Option<Tensor> {
        self.sum.lock().expect("no holder of this lock can panic").clone()
    }

    /// Forgets the gradient.
    pub fn clear(&self) {
        *self.sum.lock().expect("no holder of this lock can panic") = None;
    }
}

impl fmt::Debug for GradBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GradBuffer").field(&self.get()).finish()
    }
}
