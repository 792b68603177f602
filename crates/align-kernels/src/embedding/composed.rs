//! Embedding of tensor operations: the table's gradient passes through a tensor as large as the table.

use candle_core::{Result, Tensor};

use crate::GradBuffer;

/// Adds the gradients of the rows `ids` to the buffer of a table like that.
pub(super) fn add_gradient(grad: &Tensor, ids: &Tensor, like: &Tensor, buffer: &GradBuffer) -> Result<()> {
    buffer.accumulate(&like.zeros_like()?.index_add(ids, &grad.contiguous()?, 0)?)
}
