//! Linear layer of matrix products on whole tensors.

use candle_core::{Result, Tensor};

use super::Linear;
use crate::tape::{WayBack, sum_of_rows};

/// The output, and the way back to the input, if that is wanted.
pub(super) fn linear(x: &Tensor, layer: &Linear, wanted: bool) -> Result<(Tensor, WayBack)> {
    let (x, layer) = (x.contiguous()?, layer.clone());
    let weight = layer.weight.tensor().detach();
    let mut y = x.matmul(&weight.t()?)?;
    if let Some(bias) = &layer.bias {
        y = y.broadcast_add(&bias.tensor().detach())?;
    }
    let back = move |grad: &Tensor| {
        let grad = grad.contiguous()?;
        if let Some(buffer) = layer.bias.as_ref().and_then(|bias| bias.grad_buffer()) {
            buffer.accumulate(&sum_of_rows(&grad)?)?;
        }
        if let Some(buffer) = layer.weight.grad_buffer() {
            buffer.accumulate(&grad.t()?.matmul(&x)?)?;
        }
        Ok([if wanted { Some(grad.matmul(&weight)?) } else { None }])
    };
    Ok((y, Box::new(back)))
}
