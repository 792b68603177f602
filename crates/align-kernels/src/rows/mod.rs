//! Some rows of a tensor.

mod composed;
mod cpu;

use candle_core::{Result, Tensor, bail};

use crate::{Tape, Value};

impl Tape {
    /// The rows `rows` (u32, which may repeat) of `x` `[tokens, width]`.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn rows(&mut self, x: &Value, rows: &Tensor) -> Result<Value> {
        let (input, tokens) = (x.tensor(), x.tensor().dim(0)?);
        if Self::on_cpu(&[input]) {
            let rows = rows.to_vec1::<u32>()?;
            if let Some(row) = rows.iter().find(|row| **row as usize >= tokens) {
                bail!("rows: row {row} is outside the {tokens} rows");
            }
            let y = cpu::gather(input, &rows)?;
            Ok(self.push("rows", [x], [], y, move |grad: &Tensor| {
                Ok([Some(cpu::scatter(grad, &rows, tokens)?)])
            }))
        } else {
            let (rows, shape) = (rows.contiguous()?, input.shape().clone());
            let y = input.contiguous()?.index_select(&rows, 0)?;
            let back = move |grad: &Tensor| Ok([Some(composed::scatter(grad, &rows, &shape)?)]);
            Ok(self.push("rows", [x], [], y, back))
        }
    }
}
