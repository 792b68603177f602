//! RMSNorm of tensor operations.

use candle_core::{D, Result, Tensor};

use crate::Param;
use crate::accumulate::Recorded;

/// See [`rms_norm`](crate::rms_norm).
pub fn rms_norm(x: &Tensor, weight: &Param, epsilon: f64) -> Result<Tensor> {
    let rows = x.dim(0)?;
    let w = weight.tensor().detach();
    let inverse_root = (x.detach().sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?.recip()?; // [rows, 1]
    let normalised = x.detach().broadcast_mul(&inverse_root)?;
    let value = normalised.broadcast_mul(&w)?;
    let (buffer, x_is_tracked) = (weight.grad_buffer().cloned(), x.track_op());
    if buffer.is_none() && !x_is_tracked {
        return Ok(value);
    }
    let backward = move |grad: &Tensor| {
        if let Some(buffer) = &buffer {
            // A product with ones: candle's sum over rows is many times slower.
            let ones = Tensor::ones((1, rows), grad.dtype(), grad.device())?;
            buffer.accumulate(&ones.matmul(&(grad * &normalised)?)?.squeeze(0)?)?;
        }
        let weighted = grad.broadcast_mul(&w)?;
        let projection = (&weighted * &normalised)?.mean_keepdim(D::Minus1)?; // [rows, 1]
        let dx = (weighted - normalised.broadcast_mul(&projection)?)?.broadcast_mul(&inverse_root)?;
        Ok([x_is_tracked.then_some(dx), None])
    };
    x.apply_op2(weight.tensor(), Recorded { name: "rms-norm", value, backward })
}
