//! Matrix products of f32 slices, by the `gemm` crate that candle itself uses.
//!
//! With [`Threads::All`] every thread of the current rayon pool computes a part of the result, never of the
//! inner dimension: every element is summed in the same order whatever their number. The parts are cut here
//! and not in gemm, which rearranges an operand on one thread while the others wait, and has them wait for
//! one another after every block of the inner dimension.

use std::marker::PhantomData;

use gemm::Parallelism;
use rayon::prelude::*;

/// Rows or columns of the result that a thread takes at least. Not less than 65: gemm blocks the inner
/// dimension in another way for results of at most 64 x 64.
const PART: usize = 96;

/// Multiplications below which one thread is quicker than waking a second.
const WORTH_SHARING: usize = 1 << 19;

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
    let product = Product { alpha, a, b, beta, out: Pointer(out.data), row_stride: out.row_stride };
    match threads {
        Threads::One => product.compute(Parallelism::None),
        Threads::All => product.share(rayon::current_num_threads()),
    }
}

/// A product that is about to be computed.
#[derive(Clone, Copy)]
struct Product<'a> {
    alpha: f32,
    a: Matrix<'a>,
    b: Matrix<'a>,
    beta: f32,
    out: Pointer,
    row_stride: usize,
}

/// The first element of a result of which every thread writes a part of its own.
#[derive(Clone, Copy)]
struct Pointer(*mut f32);

#[expect(unsafe_code, reason = "threads write disjoint parts of one matrix")]
// SAFETY: the exclusive borrow of the matrix outlives all threads, and no two parts overlap.
unsafe impl Send for Pointer {}
#[expect(unsafe_code, reason = "as above")]
// SAFETY: as above.
unsafe impl Sync for Pointer {}

impl Product<'_> {
    /// Each thread computes a range of rows or of columns.
    fn share(self, threads: usize) {
        let (rows, columns) = (self.a.rows, self.b.columns);
        let worth = rows.min(columns) >= 16 && rows * columns * self.a.columns >= WORTH_SHARING;
        // gemm rearranges what it does not find in the order it reads: the left operand if it is stored by
        // columns (a weight's gradient), else the right one (a weight). That is what is divided.
        let by_rows = self.a.column_stride != 1 || columns < 2 * PART;
        let along = if by_rows { rows } else { columns };
        let parts = threads.min(along / PART);
        if !worth || parts < 2 {
            return self.compute(Parallelism::Rayon(threads));
        }
        // Whole tiles of gemm's AVX2 kernel, which has 16 of our columns by 6 of our rows.
        let tile = if by_rows { 6 } else { 16 };
        let start = |i: usize| if i == parts { along } else { i * along / parts / tile * tile };
        (0..parts).into_par_iter().with_max_len(1).for_each(|i| {
            let (start, end) = (start(i), start(i + 1));
            let product = if by_rows { self.rows(start, end) } else { self.columns(start, end) };
            product.compute(Parallelism::None);
        });
    }

    fn rows(mut self, start: usize, end: usize) -> Self {
        self.a = Matrix { data: &self.a.data[start * self.a.row_stride..], rows: end - start, ..self.a };
        self.out.0 = self.out.0.wrapping_add(start * self.row_stride);
        self
    }

    fn columns(mut self, start: usize, end: usize) -> Self {
        self.b =
            Matrix { data: &self.b.data[start * self.b.column_stride..], columns: end - start, ..self.b };
        self.out.0 = self.out.0.wrapping_add(start);
        self
    }

    #[expect(unsafe_code, reason = "gemm takes pointers")]
    fn compute(self, parallelism: Parallelism) {
        let Self { alpha, a, b, beta, out, row_stride } = self;
        // SAFETY: the constructors checked (or had promised) that all elements of the three matrices are in
        // their slices; `out` is exclusively borrowed, so it overlaps neither operand; gemm reads `out` only
        // if told to.
        unsafe {
            gemm::gemm(
                a.rows,
                b.columns,
                a.columns,
                out.0,
                1,
                row_stride as isize,
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
                    assert!(
                        one.iter().zip(&many).all(|(x, y)| x.to_bits() == y.to_bits()),
                        "{threads} threads"
                    );
                }
            }
        }
    }
}
