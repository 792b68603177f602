//! The f32 product of rounded operands, for CPUs without bf16 arithmetic.

use rayon::prelude::*;

use super::super::{Matrix, MatrixMut, Start, Threads, matmul as matmul_f32};
use super::round;

/// Elements below which one thread rounds them all.
const WORTH_SHARING: usize = 1 << 15;

/// See [`matmul_bf16`](super::matmul_bf16).
pub(super) fn matmul(start: Start, a: Matrix<'_>, b: Matrix<'_>, out: MatrixMut<'_>, threads: Threads) {
    let (a_elements, b_elements) = (rounded(a, threads), rounded(b, threads));
    matmul_f32(start, like(a, &a_elements), like(b, &b_elements), out, threads);
}

/// The elements in the order in which they lie, rounded.
fn rounded(matrix: Matrix<'_>, threads: Threads) -> Vec<f32> {
    let (lines, width) = matrix.lines();
    let mut elements = vec![0f32; lines * width];
    let each = |(index, to): (usize, &mut [f32])| {
        to.iter_mut().zip(matrix.line(index)).for_each(|(to, from)| *to = round(*from));
    };
    match threads {
        Threads::All if elements.len() >= WORTH_SHARING => {
            elements.par_chunks_mut(width).enumerate().for_each(each);
        }
        _ => elements.chunks_mut(width.max(1)).enumerate().for_each(each),
    }
    elements
}

/// `elements` in the shape and order of a matrix.
fn like<'a>(matrix: Matrix<'_>, elements: &'a [f32]) -> Matrix<'a> {
    if matrix.is_row_major() {
        Matrix::new(elements, matrix.rows(), matrix.columns())
    } else {
        Matrix::new(elements, matrix.columns(), matrix.rows()).t()
    }
}
