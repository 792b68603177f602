//! Rows of slices.

use candle_core::{Result, Tensor};

use crate::cpu::{add_assign, slice, tensor};

/// Those rows of `x`.
pub(super) fn gather(x: &Tensor, rows: &[u32]) -> Result<Tensor> {
    let (width, x) = (x.dim(1)?, x.contiguous()?);
    let data = slice(&x)?;
    let chosen = rows.iter().flat_map(|row| &data[*row as usize * width..][..width]).copied().collect();
    tensor(chosen, (rows.len(), width))
}

/// The gradient of all `tokens` rows from that of those that were gathered.
pub(super) fn scatter(grad: &Tensor, rows: &[u32], tokens: usize) -> Result<Tensor> {
    let (width, grad) = (grad.dim(1)?, grad.contiguous()?);
    let mut all = vec![0f32; tokens * width];
    for (row, grad) in rows.iter().zip(slice(&grad)?.chunks_exact(width.max(1))) {
        add_assign(&mut all[*row as usize * width..][..width], grad);
    }
    tensor(all, (tokens, width))
}
