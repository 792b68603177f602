//! Rows of tensor operations.

use candle_core::{Result, Shape, Tensor};

/// The gradient of all rows of a tensor of that shape from that of those that were gathered.
pub(super) fn scatter(grad: &Tensor, rows: &Tensor, shape: &Shape) -> Result<Tensor> {
    Tensor::zeros(shape, grad.dtype(), grad.device())?.index_add(rows, &grad.contiguous()?, 0)
}
