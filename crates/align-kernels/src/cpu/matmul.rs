//! Matrix products of f32 slices, by the `gemm` crate that candle itself uses.
//!
//! With [`Threads::All`] gemm splits the result among the threads of the current rayon pool, never the
//! inner dimension: every element is summed in the same order whatever their number.

use std::marker::PhantomData;

use gemm::Parallelism;

/// Who computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// The calling thread: inside a parallel loop.
    One,
    /// All threads of the rayon pool that the call is made in.
    All,
}

/// A matrix in a slice: element (i, j) is at `i · row_stride + j · column_stride`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows that follow one another: `[rows, columns]`.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that start `row_stride` elements apart.
    pub(crate) fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert_fits(data.len(), rows, columns, row_stride);
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The transpose, which costs nothing.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix that a product is written to, its rows `row_stride` elements apart.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a> {
    data: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
    slice: PhantomData<&'a mut [f32]>,
}

impl<'a> MatrixMut<'a> {
    /// Rows that follow one another: `[rows, columns]`.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// Rows that start `row_stride` elements apart.
    pub(crate) fn strided(data: &'a mut [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert_fits(data.len(), rows, columns, row_stride);
        Self { data: data.as_mut_ptr(), rows, columns, row_stride, slice: PhantomData }
    }

    /// Rows that start `row_stride` elements apart, from `data` on: for matrices whose rows lie between
    /// those of another thread's.
    ///
    /// # Safety
    /// Elements `i · row_stride + j` for all rows i and columns j are valid for writes, are touched
    /// by nothing else while the matrix lives, and are initialised unless only written with `beta = 0`.
    #[expect(unsafe_code, reason = "interleaved rows cannot be expressed as disjoint slices")]
    pub(crate) unsafe fn from_raw(data: *mut f32, rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, slice: PhantomData }
    }
}

fn assert_fits(len: usize, rows: usize, columns: usize, row_stride: usize) {
    if rows > 0 && columns > 0 {
        let end = (rows - 1) * row_stride + columns;
        assert!(end <= len && (columns <= row_stride || rows == 1), "matrix outside its slice");
    }
}

/// `out = alpha · a b + beta · out`. With `beta = 0` `out` is not read.
#[expect(unsafe_code, reason = "gemm takes pointers")]
#[expect(clippy::needless_pass_by_value, reason = "the exclusive borrow ends with the product")]
pub(crate) fn matmul(
    alpha: f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    beta: f32,
    out: MatrixMut<'_>,
    threads: Threads,
) {
    assert_eq!(
        (a.rows, a.columns, b.columns),
        (out.rows, b.rows, out.columns),
        "matrices do not fit: {a:?} {b:?} {out:?}"
    );
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(rayon::current_num_threads()),
    };
    // SAFETY: the constructors checked (or had promised) that all elements of the three matrices are in
    // their slices; `out` is exclusively borrowed, so it overlaps neither operand; gemm reads `out` only
    // if told to.
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            a.columns,
            out.data,
            1,
            out.row_stride as isize,
            beta != 0.0,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            beta,
            alpha,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `a b` in a new vector `[a.rows, b.columns]`.
#[expect(unsafe_code, reason = "the product is written to memory that is not zeroed first")]
pub(crate) fn product(a: Matrix<'_>, b: Matrix<'_>, threads: Threads) -> Vec<f32> {
    let len = a.rows * b.columns;
    let mut out = Vec::with_capacity(len);
    // SAFETY: the vector has room for `len` elements and is not shared; the product writes every one of
    // them, with beta = 0 without reading, before its length says so.
    unsafe {
        let matrix = MatrixMut::from_raw(out.as_mut_ptr(), a.rows, b.columns, b.columns);
        matmul(1.0, a, b, 0.0, matrix, threads);
        out.set_len(len);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 + 13) % 2003) as f32 / 1001.5 - 1.0).collect()
    }

    fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
    }

    #[test]
    fn products_agree_with_the_definition() {
        for (rows, inner, columns) in [(1, 1, 1), (1, 7, 5), (5, 7, 1), (3, 0, 2), (17, 2, 9), (33, 65, 70)] {
            let (a, b) = (values(rows * inner), values(inner * columns));
            let found = product(Matrix::new(&a, rows, inner), Matrix::new(&b, inner, columns), Threads::One);
            let mut sum = vec![1f32; rows * columns];
            let out = MatrixMut::new(&mut sum, rows, columns);
            matmul(
                2.0,
                Matrix::new(&a, rows, inner),
                Matrix::new(&b, inner, columns),
                0.5,
                out,
                Threads::All,
            );
            for i in 0..rows {
                for j in 0..columns {
                    let exact: f64 =
                        (0..inner).map(|k| f64::from(a[i * inner + k]) * f64::from(b[k * columns + j])).sum();
                    assert!((f64::from(found[i * columns + j]) - exact).abs() < 1e-5);
                    assert!((f64::from(sum[i * columns + j]) - 2.0 * exact - 0.5).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn products_do_not_depend_on_the_number_of_threads() {
        // Both larger than the size at which gemm starts threads; the second longer than its inner block.
        for (rows, inner, columns) in [(257, 130, 301), (65, 3000, 129), (1, 4097, 513), (513, 5000, 1)] {
            let (a, b) = (values(rows * inner), values(inner * columns));
            let (a, b) = (Matrix::new(&a, rows, inner), Matrix::new(&b, inner, columns));
            let bt: Vec<f32> = values(inner * columns);
            let bt = Matrix::new(&bt, columns, inner).t();
            for b in [b, bt] {
                let one = product(a, b, Threads::One);
                for threads in [1, 2, 3] {
                    let many = with_threads(threads, || product(a, b, Threads::All));
                    assert!(
                        one.iter().zip(&many).all(|(x, y)| x.to_bits() == y.to_bits()),
                        "{threads} threads"
                    );
                }
            }
        }
    }
}
