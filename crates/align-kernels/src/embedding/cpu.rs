//! Embedding on slices: rows are copied, and their gradients added to the rows of the buffer.
//!
//! Both on one thread, in the order of the tokens: they move a few megabytes, and a row that occurs often
//! would make threads wait for one another or fix the order by sorting.

use candle_core::{Result, Tensor, bail};

use crate::Param;
use crate::accumulate::Recorded;
use crate::cpu::{Floats, add_assign, slice, tensor};

/// See [`embedding`](crate::embedding). The table is f32 on the CPU, the ids are u32.
pub(super) fn embedding(ids: &Tensor, table: &Param) -> Result<Tensor> {
    let (vocab, hidden) = table.tensor().dims2()?;
    let ids = ids.to_vec1::<u32>()?;
    let rows = table.tensor().detach().contiguous()?;
    let rows = slice(&rows)?;
    let mut value = Vec::with_capacity(ids.len() * hidden);
    for &id in &ids {
        if id as usize >= vocab {
            bail!("embedding: token id {id} is outside the table of {vocab} rows");
        }
        value.extend_from_slice(&rows[id as usize * hidden..][..hidden]);
    }
    let shape = (ids.len(), hidden);
    let Some(buffer) = table.grad_buffer().cloned() else {
        return tensor(value, shape);
    };
    let backward = move |grad: &Tensor| {
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
        buffer.accumulate_in_place(&(vocab, hidden).into(), first, add)?;
        Ok([None])
    };
    table.tensor().apply_op1(Recorded { name: "embedding", value: Floats::new(value, shape), backward })
}
