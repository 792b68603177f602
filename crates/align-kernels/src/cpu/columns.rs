//! Sums: of two vectors; and over the rows of a matrix, for the gradients of vectors, where there is one partial sum
//! per block of rows, added in the order of the blocks.

use rayon::prelude::*;

use super::simd;

/// Rows of a block. Part of the result: it fixes the order of the sum.
pub(crate) const BLOCK_ROWS: usize = 64;

/// The sum over the blocks of `rows` rows of what `add` adds to the partial sum of the block it is given
/// the number of: a vector of `columns`.
pub(crate) fn sum_blocks(rows: usize, columns: usize, add: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut partial = vec![0f32; rows.div_ceil(BLOCK_ROWS).max(1) * columns];
    if columns > 0 {
        partial.par_chunks_mut(columns).enumerate().for_each(|(block, partial)| {
            if block * BLOCK_ROWS < rows {
                add(block, partial);
            }
        });
    }
    let (total, rest) = partial.split_at_mut(columns);
    rest.chunks_exact(columns.max(1)).for_each(|partial| add_assign(total, partial));
    partial.truncate(columns);
    partial
}

/// Elements that one thread adds at a time.
const BLOCK: usize = 16 * 1024;

/// `total += values`, on all threads.
pub(crate) fn add_all(total: &mut [f32], values: &[f32]) {
    assert_eq!(total.len(), values.len(), "vectors of one length");
    let blocks = total.par_chunks_mut(BLOCK).zip(values.par_chunks(BLOCK));
    blocks.for_each(|(total, values)| add_assign(total, values));
}

simd! {
    /// `total += values`.
    pub(crate) fn add_assign(total: &mut [f32], values: &[f32]) {
        for (total, value) in total.iter_mut().zip(values) {
            *total += value;
        }
    }
}
