//! Rows of an embedding table, accumulating the table's gradient in its own buffer.

pub(crate) mod composed;
mod cpu;

use candle_core::{DType, Result, Tensor};

use crate::Param;
use crate::cpu::is_f32_on_cpu;

/// The rows `ids` (`[tokens]`, u32) of `table` (`[vocab, hidden]`) → `[tokens, hidden]`.
///
/// # Errors
/// If an id is outside the table.
pub fn embedding(ids: &Tensor, table: &Param) -> Result<Tensor> {
    if is_f32_on_cpu(&[table.tensor()]) && ids.dtype() == DType::U32 {
        cpu::embedding(ids, table)
    } else {
        composed::embedding(ids, table)
    }
}
