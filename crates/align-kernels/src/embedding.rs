//! Rows of an embedding table, accumulating the table's gradient in its own buffer.

use candle_core::{Result, Tensor};

use crate::Param;
use crate::accumulate::Recorded;

/// The rows `ids` (`[tokens]`, u32) of `table` (`[vocab, hidden]`) → `[tokens, hidden]`.
///
/// # Errors
/// If an id is outside the table.
pub fn embedding(ids: &Tensor, table: &Param) -> Result<Tensor> {
    let value = table.tensor().detach().index_select(ids, 0)?;
    let Some(buffer) = table.grad_buffer().cloned() else {
        return Ok(value);
    };
    let (ids, table) = (ids.clone(), table.tensor());
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
