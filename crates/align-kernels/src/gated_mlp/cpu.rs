//! The feed-forward layer on slices: every gradient between its products goes where it is needed and no further.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use crate::accumulate::Recorded;
use crate::cpu::{Floats, Matrix, Threads, add_assign, product, slice, tensor};
use crate::linear::{add_weight_gradient, products};
use crate::swiglu::{gradients, unit};
use crate::{GradBuffer, Param};

/// Elements that one thread adds at a time.
const BLOCK: usize = 16 * 1024;

/// See [`gated_mlp`](crate::gated_mlp). All f32 on the CPU, of fitting shapes, `x` tracked.
pub(super) fn gated_mlp(x: &Tensor, weights: [&Param; 3]) -> Result<Tensor> {
    let ((rows, hidden), inner) = (x.dims2()?, weights[0].tensor().dim(0)?);
    let input = x.detach().contiguous()?;
    let [gate, up, down] = weights.map(|weight| weight.tensor().detach().contiguous());
    let [gate, up, down] = [gate?, up?, down?];
    let buffers = weights.map(|weight| weight.grad_buffer().cloned());

    let [gates, ups] = products(&slice(&input)?, rows, hidden, [&*slice(&gate)?, &*slice(&up)?]);
    let units = unit(&gates, &ups);
    let [y] = products(&units, rows, inner, [&*slice(&down)?]);

    let backward = move |grad: &Tensor| {
        let grad = grad.contiguous()?;
        let (grad, x) = (slice(&grad)?, slice(&input)?);
        let (grad, x) = (Matrix::new(&grad, rows, hidden), Matrix::new(&x, rows, hidden));
        let [gate_buffer, up_buffer, down_buffer] = &buffers;
        add_to(down_buffer, grad, Matrix::new(&units, rows, inner))?;
        let dunit = product(grad, Matrix::new(&slice(&down)?, hidden, inner), Threads::All);
        let (dgate, dup) = gradients(&gates, &ups, &dunit);
        drop(dunit);
        let (dgate, dup) = (Matrix::new(&dgate, rows, inner), Matrix::new(&dup, rows, inner));
        add_to(gate_buffer, dgate, x)?;
        add_to(up_buffer, dup, x)?;
        let mut dx = product(dup, Matrix::new(&slice(&up)?, inner, hidden), Threads::All);
        let through_gate = product(dgate, Matrix::new(&slice(&gate)?, inner, hidden), Threads::All);
        let blocks = dx.par_chunks_mut(BLOCK).zip(through_gate.par_chunks(BLOCK));
        blocks.for_each(|(dx, more)| add_assign(dx, more));
        Ok([Some(tensor(dx, (rows, hidden))?)])
    };
    x.apply_op1(Recorded { name: "gated-mlp", value: Floats::new(y, (rows, hidden)), backward })
}

/// `gradᵀ x`, unless the weight is frozen.
fn add_to(buffer: &Option<Arc<GradBuffer>>, grad: Matrix<'_>, x: Matrix<'_>) -> Result<()> {
    buffer.as_ref().map_or(Ok(()), |buffer| add_weight_gradient(buffer, grad, x))
}
