//! Embedding on slices: rows are copied, and their gradients added to the rows of the buffer.
//!
//! Both on one thread, in the order of the tokens: they move a few megabytes, and a row that occurs often
//! would make threads wait for one another or fix the order by sorting.

use candle_core::{Result, Tensor, bail};

use crate::cpu::{add_assign, slice, tensor};
use crate::{GradBuffer, Param};

/// The rows `ids`. The table is f32 on the CPU.
pub(super) fn embedding(ids: &[u32], table: &Param) -> Result<Tensor> {
    let (vocab, hidden) = table.tensor().dims2()?;
    let rows = table.tensor().detach().contiguous()?;
    let rows = slice(&rows)?;
    let mut value = Vec::with_capacity(ids.len() * hidden);
    for &id in ids {
        if id as usize >= vocab {
            bail!("embedding: token id {id} is outside the table of {vocab} rows");
        }
        value.extend_from_slice(&rows[id as usize * hidden..][..hidden]);
    }
    tensor(value, (ids.len(), hidden))
}

/// Adds the gradients of the rows `ids` to the buffer of a table of that shape.
pub(super) fn add_gradient(
    grad: &Tensor,
    ids: &[u32],
    (vocab, hidden): (usize, usize),
    buffer: &GradBuffer,
) -> Result<()> {
    let grad = grad.contiguous()?;
    let grad = slice(&grad)?;
    let add = |sum: &mut [f32]| {
        for (&id, grad) in ids.iter().zip(grad.chunks_exact(hidden)) {
            add_assign(&mut sum[id as usize * hidden..][..hidden], grad);
        }
    };
    let first = || {
        let mut sum = vec![0f32; vocab * hidden];
        add(&mut sum);
        sum
    };
    buffer.accumulate_in_place(&(vocab, hidden).into(), first, add)
}
