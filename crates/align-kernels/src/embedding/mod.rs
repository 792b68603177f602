//! Rows of an embedding table, accumulating the table's gradient in its own buffer.

mod composed;
mod cpu;
mod trained;

use candle_core::{DType, Device, Result, Tensor, bail};

pub use trained::TrainedRows;

use crate::{Blocks, Linear, Numbers, Param, Tape, Value, Weight, record};

impl Tape {
    /// The rows `ids` (`[tokens]`, u32) of `table` (`[vocab, hidden]`) → `[tokens, hidden]`, on the device of `ids`.
    ///
    /// # Errors
    /// If an id is outside the table.
    pub fn embedding(&mut self, ids: &Tensor, table: &Weight) -> Result<Value> {
        match table.numbers() {
            Numbers::Dense(table) => self.dense_embedding(ids, table),
            Numbers::Blocks(table) => Ok(self.fresh(decoded(ids, &**table)?)),
        }
    }

    /// [`Tape::embedding`] with a low-rank adapter: `table[ids] + s A[:, ids]ᵀ Bᵀ`, for A `[rank, vocab]` and B
    /// `[hidden, rank]` (PEFT's `lora_embedding_A` and `lora_embedding_B`).
    ///
    /// # Errors
    /// If an id is outside the table; if the shapes do not fit.
    pub fn adapted_embedding(
        &mut self,
        ids: &Tensor,
        table: &Weight,
        [a, b]: [&Param; 2],
        scale: f64,
    ) -> Result<Value> {
        let ((vocab, hidden), (rank, columns)) = (table.shape()?, a.tensor().dims2()?);
        if columns != vocab || b.tensor().dims() != [hidden, rank] {
            let (a, b) = (a.tensor().shape(), b.tensor().shape());
            bail!("embedding: expected A [{rank}, {vocab}] and B [{hidden}, {rank}], got {a:?} and {b:?}");
        }
        let rows = self.embedding(ids, table)?;
        let inner = self.columns(ids, a)?;
        let change = self.linear(&inner, &Linear::new(b, None)?)?;
        let change = self.scale(change, scale)?;
        self.add(&rows, change)
    }

    /// The columns `ids` of `a` `[rank, vocab]` as rows, `[tokens, rank]`.
    fn columns(&mut self, ids: &Tensor, a: &Param) -> Result<Value> {
        let (ids, buffer, like) = (ids.contiguous()?, a.grad_buffer().cloned(), a.tensor().detach());
        let value = like.index_select(&ids, 1)?.t()?.contiguous()?;
        Ok(self.push("embedding adapter", [], [a], value, move |grad: &Tensor| {
            if let Some(buffer) = &buffer {
                let columns = grad.t()?.contiguous()?;
                buffer.accumulate(&like.zeros_like()?.index_add(&ids, &columns, 1)?)?;
            }
            Ok([])
        }))
    }

    fn dense_embedding(&mut self, ids: &Tensor, table: &Param) -> Result<Value> {
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
    record("embedding", [], |tape, []| tape.dense_embedding(ids, table))
}

/// Rows of a table in blocks, in f32.
fn decoded(ids: &Tensor, table: &dyn Blocks) -> Result<Tensor> {
    let (vocab, hidden) = table.shape();
    let ids_here = ids.to_dtype(DType::U32)?.to_vec1::<u32>()?;
    if let Some(id) = ids_here.iter().find(|id| **id as usize >= vocab) {
        bail!("embedding: token id {id} is outside the table of {vocab} rows");
    }
    let mut rows = vec![0f32; ids_here.len() * hidden];
    for (id, row) in ids_here.iter().zip(rows.chunks_mut(hidden.max(1))) {
        table.decode(*id as usize, 0..hidden, row);
    }
    Tensor::from_vec(rows, (ids_here.len(), hidden), &Device::Cpu)?.to_device(ids.device())
}
