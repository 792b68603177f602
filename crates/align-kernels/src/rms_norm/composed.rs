//! RMSNorm of tensor operations. Half precision is computed in f32, as transformers does.

use candle_core::{D, Result, Tensor};

use super::RmsNorm;
use crate::tape::{WayBack, sum_of_rows, wide};

/// The normalised rows, and the way back to `x`, if that is wanted.
pub(super) fn rms_norm(x: &Tensor, norm: &RmsNorm, wanted: bool) -> Result<(Tensor, WayBack)> {
    let (dtype, buffer) = (x.dtype(), norm.weight.grad_buffer().cloned());
    let (x, w) = (wide(x)?, wide(&norm.factors()?)?);
    let inverse_root = (x.sqr()?.mean_keepdim(D::Minus1)? + norm.epsilon)?.sqrt()?.recip()?; // [rows, 1]
    let normalised = x.broadcast_mul(&inverse_root)?;
    let value = normalised.broadcast_mul(&w)?.to_dtype(dtype)?;
    let back = move |grad: &Tensor| {
        let grad = wide(grad)?;
        if let Some(buffer) = &buffer {
            buffer.accumulate(&sum_of_rows(&(&grad * &normalised)?)?)?;
        }
        if !wanted {
            return Ok([None]);
        }
        let weighted = grad.broadcast_mul(&w)?;
        let projection = (&weighted * &normalised)?.mean_keepdim(D::Minus1)?; // [rows, 1]
        let dx = (weighted - normalised.broadcast_mul(&projection)?)?.broadcast_mul(&inverse_root)?;
        Ok([Some(dx.to_dtype(dtype)?)])
    };
    Ok((value, Box::new(back)))
}
