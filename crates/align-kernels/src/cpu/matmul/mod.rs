//! Matrix products of f32 slices.
//!
//! The kernel is our own where the CPU has AVX2 or AVX-512, and the `gemm` crate's, which candle itself uses,
//! elsewhere. A step's products have a few hundred rows and weights that come from main memory: our kernel
//! brings a weight into the order it is read in by whole squares, and fetches a gradient while it computes
//! the one above it.
//!
//! With [`Threads::All`] every thread of the current rayon pool computes a part of the result, never of the
//! inner dimension: every element is summed in the same order whatever their number. With our kernel that
//! is the order of the inner dimension, each step fused, block by block, whatever the width of the registers.

mod bf16;
#[cfg(target_arch = "x86_64")]
mod kernel;
mod matrix;
mod portable;
#[cfg(target_arch = "x86_64")]
mod share;
#[cfg(target_arch = "x86_64")]
mod vector;

use super::Precision;
pub(crate) use bf16::{PairPanels, WeightPanels, block_len as block_len_bf16, matmul_bf16, round};
pub(crate) use matrix::{Matrix, MatrixMut};

/// Multiplications below which one thread is quicker than waking a second.
const WORTH_SHARING: usize = 1 << 19;

/// Inner indices of a block at most: a panel of AVX-512 has 120 KiB of them, part of a second cache, and sums
/// of so few terms keep their digits.
const INNER: usize = 640;

/// Who computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling thread: inside a parallel loop.
    One,
    /// All threads of the rayon pool that the call is made in.
    All,
}

/// What the sums of a product begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Nothing: what is in the result is not read.
    Zero,
    /// What is in the result.
    Out,
}

/// `out = a b`, or `out = out + a b`.
pub(crate) fn matmul(start: Start, a: Matrix<'_>, b: Matrix<'_>, out: MatrixMut<'_>, threads: Threads) {
    assert_fit(&a, &b, &out);
    let threads = threads_for(&a, &b, threads);
    #[cfg(target_arch = "x86_64")]
    if let Some(kernel) = kernel::Kernel::get() {
        return share::Product::of(start, a, b, out).compute(kernel, threads);
    }
    portable::compute(start, a, b, out, threads);
}

/// The size of all blocks of an inner dimension but the last: sums of more terms are added up block by block.
pub(crate) fn block_len(inner: usize) -> usize {
    inner.div_ceil(inner.div_ceil(INNER).max(1)).max(1)
}

fn assert_fit(a: &Matrix<'_>, b: &Matrix<'_>, out: &MatrixMut<'_>) {
    let (rows, columns) = out.shape();
    assert_eq!(
        (a.rows(), a.columns(), b.columns()),
        (rows, b.rows(), columns),
        "matrices do not fit: {a:?} {b:?} {out:?}"
    );
}

fn threads_for(a: &Matrix<'_>, b: &Matrix<'_>, threads: Threads) -> usize {
    let worth_sharing = a.rows() * b.columns() * a.columns() >= WORTH_SHARING;
    match threads {
        Threads::All if worth_sharing => rayon::current_num_threads(),
        _ => 1,
    }
}

/// `a b` in a new vector `[a.rows, b.columns]`.
pub(crate) fn product(a: Matrix<'_>, b: Matrix<'_>, threads: Threads) -> Vec<f32> {
    Precision::F32.product(a, b, threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few of them equal, and sums of them inexact.
    pub(super) fn values(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 + 13) % 2003) as f32 / 1001.5 - 1.0).collect()
    }

    pub(super) fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    /// A way to compute a product.
    pub(super) type Form<'a> = &'a dyn Fn(Start, Matrix<'_>, Matrix<'_>, MatrixMut<'_>);

    /// Rows, inner dimension, columns: parts of tiles, whole tiles and many, more than one block.
    const SHAPES: [(usize, usize, usize); 14] = [
        (0, 3, 2),
        (3, 2, 0),
        (1, 1, 1),
        (1, 7, 5),
        (5, 7, 1),
        (3, 0, 2),
        (8, 3, 48),
        (6, 4, 16),
        (17, 2, 9),
        (33, 65, 70),
        (64, 100, 51),
        (100, 37, 149),
        (55, 1300, 53),
        (530, 19, 49),
    ];

    /// Compares a form with `exact(start, terms)` of each element, in all four orders of the operands and in
    /// the middle of a larger matrix, whose other elements it must leave alone.
    pub(super) fn check(form: Form<'_>, exact: impl Fn(f32, &mut dyn Iterator<Item = (f32, f32)>, f32)) {
        for (rows, inner, columns) in SHAPES {
            let (a, b) = (values(rows * inner), values(inner * columns));
            let by_rows = (Matrix::new(&a, rows, inner), Matrix::new(&b, inner, columns));
            let by_columns = (Matrix::new(&a, inner, rows).t(), Matrix::new(&b, columns, inner).t());
            for (crosswise_a, crosswise_b) in [(false, false), (false, true), (true, false), (true, true)] {
                let x = if crosswise_a { by_columns.0 } else { by_rows.0 };
                let y = if crosswise_b { by_columns.1 } else { by_rows.1 };
                for start in [Start::Zero, Start::Out] {
                    let (stride, before) = (columns + 3, values(rows * (columns + 3) + 2));
                    let mut out = before.clone();
                    form(start, x, y, MatrixMut::strided(&mut out[2..], rows, columns, stride));
                    assert_eq!(out[..2], before[..2]);
                    for (i, (out, before)) in
                        out[2..].chunks(stride).zip(before[2..].chunks(stride)).enumerate()
                    {
                        assert_eq!(out[columns..], before[columns..], "{rows}x{inner}x{columns}");
                        for j in 0..columns {
                            let term = |k: usize| {
                                let a = if crosswise_a { a[k * rows + i] } else { a[i * inner + k] };
                                (a, if crosswise_b { b[j * inner + k] } else { b[k * columns + j] })
                            };
                            let first = if start == Start::Out { before[j] } else { 0.0 };
                            exact(first, &mut (0..inner).map(term), out[j]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn products_agree_with_the_definition() {
        let near = |first, terms: &mut dyn Iterator<Item = (f32, f32)>, found| {
            let start = (f64::from(first), f64::from(first).abs(), 1.0);
            let (exact, size, count) = terms.fold(start, |(sum, size, count), (a, b)| {
                let term = f64::from(a) * f64::from(b);
                (sum + term, size + term.abs(), count + 1.0)
            });
            // One rounding of half a unit in the last place for each term.
            let bound = size * count * f64::from(f32::EPSILON / 2.0);
            assert!((f64::from(found) - exact).abs() <= bound, "{found} is not {exact}");
        };
        check(&|start, a, b, out| matmul(start, a, b, out, Threads::All), near);
        check(&|start, a, b, out| portable::compute(start, a, b, out, 1), near);
        check(&|start, a, b, out| portable::compute(start, a, b, out, 3), near);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn every_kernel_adds_the_products_in_order() {
        let fused = |first: f32, terms: &mut dyn Iterator<Item = (f32, f32)>, found: f32| {
            let terms: Vec<_> = terms.collect();
            let blocks = terms.chunks(block_len(terms.len()));
            let sums = blocks.map(|block| block.iter().fold(0f32, |sum, (a, b)| a.mul_add(*b, sum)));
            let exact = sums.fold(first, |sum, block| sum + block);
            assert_eq!(found.to_bits(), exact.to_bits(), "{found} is not {exact}");
        };
        for (name, kernel) in kernel::Kernel::all() {
            crate::cpu::forms::ran("products", name, kernel.is_some());
            let Some(kernel) = kernel else { continue };
            for threads in [1, 3] {
                check(
                    &|start, a, b, out| share::Product::of(start, a, b, out).compute(kernel, threads),
                    fused,
                );
            }
        }
    }

    #[test]
    fn products_do_not_depend_on_the_number_of_threads() {
        // Both larger than the size at which gemm starts threads; the second longer than its inner block.
        let shapes = [
            (257, 130, 301),
            (65, 3000, 129),
            (40, 3000, 389),
            (389, 3000, 40),
            (1, 4097, 513),
            (513, 5000, 1),
        ];
        for (rows, inner, columns) in shapes {
            let (a, b) = (values(rows * inner), values(inner * columns));
            let (row_by_row, column_by_column) =
                (Matrix::new(&a, rows, inner), Matrix::new(&a, inner, rows).t());
            let (b, bt) = (Matrix::new(&b, inner, columns), Matrix::new(&b, columns, inner).t());
            for (a, b) in [(row_by_row, b), (row_by_row, bt), (column_by_column, b), (column_by_column, bt)] {
                let one = product(a, b, Threads::One);
                for threads in [1, 2, 3, 5] {
                    let many = with_threads(threads, || product(a, b, Threads::All));
                    assert_eq!(one.len(), many.len());
                    assert!(
                        one.iter().zip(&many).all(|(x, y)| x.to_bits() == y.to_bits()),
                        "{threads} threads"
                    );
                }
            }
        }
    }
}
