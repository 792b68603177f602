//! RMSNorm of tensor operations.

use candle_core::{D, Result, Tensor};

use crate::Param;
use crate::tape::sum_of_rows;

/// The normalised rows, and the way back to `x`, if that is wanted.
pub(super) fn rms_norm(
    x: &Tensor,
    weight: &Param,
    epsilon: f64,
    wanted: bool,
) -> Result<(Tensor, impl Fn(&Tensor) -> Result<[Option<Tensor>; 1]> + use<>)> {
    let (w, buffer) = (weight.tensor().detach(), weight.grad_buffer().cloned());
    let inverse_root = (x.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?.recip()?; // [rows, 1]
    let normalised = x.broadcast_mul(&inverse_root)?;
    let value = normalised.broadcast_mul(&w)?;
    let back = move |grad: &Tensor| {
        if let Some(buffer) = &buffer {
            buffer.accumulate(&sum_of_rows(&(grad * &normalised)?)?)?;
        }
        if !wanted {
            return Ok([None]);
        }
        let weighted = grad.broadcast_mul(&w)?;
        let projection = (&weighted * &normalised)?.mean_keepdim(D::Minus1)?; // [rows, 1]
        let dx = (weighted - normalised.broadcast_mul(&projection)?)?.broadcast_mul(&inverse_root)?;
        Ok([Some(dx)])
    };
    Ok((value, back))
}
