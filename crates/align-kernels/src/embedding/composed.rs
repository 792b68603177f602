//! Embedding of tensor operations: the table's gradient passes through a tensor as large as the table.

use candle_core::{Result, Tensor};

use crate::Param;
use crate::accumulate::Recorded;

/// See [`embedding`](crate::embedding).
pub fn embedding(ids: &Tensor, table: &Param) -> Result<Tensor> {
    let ids = ids.contiguous()?;
    let value = table.tensor().detach().contiguous()?.index_select(&ids, 0)?;
    let Some(buffer) = table.grad_buffer().cloned() else {
        return Ok(value);
    };
    let table = table.tensor();
    let like = table.detach();
    table.apply_op1(Recorded {
        name: "embedding",
        value,
        backward: move |grad: &Tensor| {
            buffer.accumulate(&like.zeros_like()?.index_add(&ids, &grad.contiguous()?, 0)?)?;
            Ok([None])
        },
    })
}
