//! Rows of an embedding table, accumulating the table's gradient in its own buffer.

mod composed;
mod cpu;

use candle_core::{DType, Result, Tensor};

use crate::{Param, Tape, Value, record};

impl Tape {
    /// The rows `ids` (`[tokens]`, u32) of `table` (`[vocab, hidden]`) → `[tokens, hidden]`.
    ///
    /// # Errors
    /// If an id is outside the table.
    pub fn embedding(&mut self, ids: &Tensor, table: &Param) -> Result<Value> {
        if Self::on_cpu(&[table.tensor()]) && ids.dtype() == DType::U32 {
            let ids = ids.to_vec1::<u32>()?;
            let value = cpu::embedding(&ids, table)?;
            let (buffer, shape) = (table.grad_buffer().cloned(), table.tensor().dims2()?);
            Ok(self.push("embedding", [], [table], value, move |grad: &Tensor| {
                buffer.iter().try_for_each(|buffer| cpu::add_gradient(grad, &ids, shape, buffer))?;
                Ok([])
            }))
        } else {
            let (ids, buffer, like) =
                (ids.contiguous()?, table.grad_buffer().cloned(), table.tensor().detach());
            let value = like.contiguous()?.index_select(&ids, 0)?;
            Ok(self.push("embedding", [], [table], value, move |grad: &Tensor| {
                buffer.iter().try_for_each(|buffer| composed::add_gradient(grad, &ids, &like, buffer))?;
                Ok([])
            }))
        }
    }
}

/// [`Tape::embedding`] by itself.
///
/// # Errors
/// If an id is outside the table.
pub fn embedding(ids: &Tensor, table: &Param) -> Result<Tensor> {
    record("embedding", [], |tape, []| tape.embedding(ids, table))
}
