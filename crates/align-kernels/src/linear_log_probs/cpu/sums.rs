//! Matrices that are sums of products, written to for the first time without having been zeroed.

use crate::cpu::{Matrix, MatrixMut, Precision, Start, Threads};

/// Appends `a b`, rows by columns, to `out`, which has room for it.
#[expect(unsafe_code, reason = "the product is written to memory that is not zeroed first")]
pub(super) fn append_product(
    precision: Precision,
    out: &mut Vec<f32>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    [rows, columns]: [usize; 2],
) {
    let (start, len) = (out.len(), rows * columns);
    let free = out.spare_capacity_mut();
    assert!(len <= free.len(), "the vector has no room for the product");
    // SAFETY: the product, which refuses operands of another shape, writes the `len` elements after `start`, for which
    // the vector has room, all of them and, from zero on without reading, before its length says so.
    unsafe {
        let matrix = MatrixMut::from_raw(free.as_mut_ptr().cast(), rows, columns, columns);
        precision.matmul(Start::Zero, a, b, matrix, Threads::All);
        out.set_len(start + len);
    }
}

/// Where products add up, block of rows by block of rows.
pub(super) enum Sum<'a> {
    /// From nothing: the first product of each block is appended.
    New(&'a mut Vec<f32>),
    /// To what is there.
    More(&'a mut [f32]),
}

impl Sum<'_> {
    /// Adds `a b` to the block of `rows` by `columns` that starts at element `start`.
    pub(super) fn add(
        &mut self,
        precision: Precision,
        start: usize,
        a: Matrix<'_>,
        b: Matrix<'_>,
        [rows, columns]: [usize; 2],
    ) {
        let sum = match self {
            Self::New(out) if out.len() == start => {
                return append_product(precision, out, a, b, [rows, columns]);
            }
            Self::New(out) => out.as_mut_slice(),
            Self::More(out) => out,
        };
        let block = &mut sum[start..start + rows * columns];
        precision.matmul(Start::Out, a, b, MatrixMut::new(block, rows, columns), Threads::All);
    }
}
