//! Products by the `gemm` crate, for CPUs that our kernel is not written for.
//!
//! The parts for threads are cut here and not in gemm, which rearranges an operand on one thread while the
//! others wait, and has them wait for one another after every block of the inner dimension.

#![expect(unsafe_code, reason = "gemm takes pointers, and threads write disjoint parts of one matrix")]

use gemm::Parallelism;
use rayon::prelude::*;

use super::matrix::Pointer;
use super::{Matrix, MatrixMut, Start};

/// Rows or columns of the result that a thread takes at least. Not less than 65: gemm blocks the inner
/// dimension in another way for results of at most 64 x 64.
const PART: usize = 96;

/// What the parts are whole multiples of, so that they end where tiles do.
const TILE: usize = 48;

/// Whole product by `threads` threads. The shapes fit: [`matmul`](super::matmul) has compared them.
#[expect(clippy::needless_pass_by_value, reason = "the exclusive borrow ends with the product")]
pub(super) fn compute(start: Start, a: Matrix<'_>, b: Matrix<'_>, out: MatrixMut<'_>, threads: usize) {
    let (rows, columns) = out.shape();
    // gemm rearranges what it does not find in the order it reads: the left operand if it is stored by
    // columns (a weight's gradient), else the right one (a weight). That is what is divided.
    let by_rows = !a.is_row_major() || columns < 2 * PART;
    let along = if by_rows { rows } else { columns };
    let parts = if rows.min(columns) < 16 { 1 } else { threads.min(along / PART).max(1) };
    let bound = |i: usize| if i == parts { along } else { i * along / parts / TILE * TILE };
    let (out, out_stride) = out.parts();
    let out = Pointer(out);
    (0..parts).into_par_iter().with_max_len(1).for_each(|i| {
        let part = bound(i)..bound(i + 1);
        let (row, column) = if by_rows { (part.start, 0) } else { (0, part.start) };
        let (rows, columns) = if by_rows { (part.len(), columns) } else { (rows, part.len()) };
        let (left, left_rows, left_columns) = a.parts();
        let (right, right_rows, right_columns) = b.parts();
        // SAFETY: the matrices' constructors checked (or had promised) that all their elements are valid;
        // `out` is exclusively borrowed, so it overlaps neither operand, and the parts are disjoint; gemm
        // reads `out` only if told to.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                a.columns(),
                out.get().add(row * out_stride + column),
                1,
                out_stride as isize,
                start == Start::Out,
                left.add(row * left_rows),
                left_columns as isize,
                left_rows as isize,
                right.add(column * right_columns),
                right_columns as isize,
                right_rows as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    });
}
