//! The block on slices: every gradient between its products goes where it is needed and no further.

use candle_core::{Result, Tensor};

use crate::accumulate::Recorded;
use crate::cpu::{Floats, Matrix, Threads, add_all, product, slice, tensor};
use crate::linear::{add_weight_gradient, products};
use crate::swiglu::{gradients, unit};
use crate::{Param, rms_norm};

/// See [`mlp_block`](crate::mlp_block). All f32 on the CPU, of fitting shapes, `x` tracked; the weights are gate, up
/// and down.
pub(super) fn mlp_block(x: &Tensor, norm: &Param, norm_epsilon: f64, weights: [&Param; 3]) -> Result<Tensor> {
    let ((rows, hidden), inner) = (x.dims2()?, weights[0].tensor().dim(0)?);
    let [gate, up, down] = weights.map(|weight| weight.tensor().detach().contiguous());
    let [gate, up, down] = [gate?, up?, down?];
    let buffers = weights.map(|weight| weight.grad_buffer().cloned());

    let (normalised, norm) = rms_norm::Backward::of(x, norm, norm_epsilon)?;
    let [gates, ups] = products(&normalised, rows, hidden, [&*slice(&gate)?, &*slice(&up)?]);
    let units = unit(&gates, &ups);
    let [mut y] = products(&units, rows, inner, [&*slice(&down)?]);
    add_all(&mut y, &slice(&x.detach().contiguous()?)?);

    let backward = move |grad: &Tensor| {
        let grad = grad.contiguous()?;
        let grad = slice(&grad)?;
        let dy = Matrix::new(&grad, rows, hidden);
        let normalised = Matrix::new(&normalised, rows, hidden);
        let [gate_buffer, up_buffer, down_buffer] = buffers.each_ref().map(Option::as_deref);
        add_weight_gradient(down_buffer, dy, Matrix::new(&units, rows, inner))?;
        let dunit = product(dy, Matrix::new(&slice(&down)?, hidden, inner), Threads::All);
        let (dgate, dup) = gradients(&gates, &ups, &dunit);
        drop(dunit);
        let (dgate, dup) = (Matrix::new(&dgate, rows, inner), Matrix::new(&dup, rows, inner));
        add_weight_gradient(gate_buffer, dgate, normalised)?;
        add_weight_gradient(up_buffer, dup, normalised)?;
        let mut dnormalised = product(dup, Matrix::new(&slice(&up)?, inner, hidden), Threads::All);
        add_all(&mut dnormalised, &product(dgate, Matrix::new(&slice(&gate)?, inner, hidden), Threads::All));
        norm.add_weight_gradient(&dnormalised)?;
        let mut dx = norm.input_gradient(&dnormalised)?;
        add_all(&mut dx, &grad);
        Ok([Some(tensor(dx, (rows, hidden))?)])
    };
    x.apply_op1(Recorded { name: "mlp-block", value: Floats::new(y, (rows, hidden)), backward })
}
