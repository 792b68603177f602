//! Matrices in slices: the operands of a product and its result.

use std::marker::PhantomData;

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

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
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

    /// Whether the elements of a row lie side by side, and not those of a column.
    pub(super) fn is_row_major(&self) -> bool {
        self.column_stride == 1
    }

    /// How many lines the elements lie in, and how many there are in each: rows, or the columns of a transpose.
    pub(super) fn lines(&self) -> (usize, usize) {
        if self.is_row_major() { (self.rows, self.columns) } else { (self.columns, self.rows) }
    }

    /// The elements of a line.
    pub(super) fn line(&self, index: usize) -> &'a [f32] {
        let (_, width) = self.lines();
        &self.data[index * self.row_stride.max(self.column_stride)..][..width]
    }

    /// The first element, and the distances of rows and of columns.
    pub(super) fn parts(&self) -> (*const f32, usize, usize) {
        (self.data.as_ptr(), self.row_stride, self.column_stride)
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
    /// by nothing else while the matrix lives, and are initialised unless only written from
    /// [`Start::Zero`](super::Start::Zero) on.
    #[expect(unsafe_code, reason = "interleaved rows cannot be expressed as disjoint slices")]
    pub(crate) unsafe fn from_raw(data: *mut f32, rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { data, rows, columns, row_stride, slice: PhantomData }
    }

    /// Writes some elements of a row.
    ///
    /// # Panics
    /// If the row does not have them.
    #[expect(unsafe_code, reason = "rows of the matrix lie between those of another thread's")]
    pub(crate) fn write(&self, row: usize, first: usize, values: &[f32]) {
        assert!(row < self.rows && first + values.len() <= self.columns, "elements of the matrix");
        // SAFETY: the constructors promise that the elements are valid for writes and that nobody else touches them.
        unsafe {
            let to = self.data.add(row * self.row_stride + first);
            to.copy_from_nonoverlapping(values.as_ptr(), values.len());
        }
    }

    /// Rows and columns.
    pub(super) fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The first element, and the distance of rows.
    pub(super) fn parts(&self) -> (*mut f32, usize) {
        (self.data, self.row_stride)
    }
}

/// Memory of which every thread writes a part of its own.
#[derive(Clone, Copy)]
pub(super) struct Pointer<T>(pub(super) *mut T);

#[expect(unsafe_code, reason = "threads write disjoint parts of one matrix")]
// SAFETY: whoever writes promises that no two threads write the same part, and that the memory outlives them.
unsafe impl<T> Sync for Pointer<T> {}

impl<T> Pointer<T> {
    pub(super) fn get(&self) -> *mut T {
        self.0
    }
}

fn assert_fits(len: usize, rows: usize, columns: usize, row_stride: usize) {
    if rows > 0 && columns > 0 {
        let end = (rows - 1) * row_stride + columns;
        assert!(end <= len && (columns <= row_stride || rows == 1), "matrix outside its slice");
    }
}
