//! Products with weights in blocks: panels are decoded into what a cache holds, and multiplied there.
//!
//! With many rows a panel is decoded by all threads and multiplied by all; with few, where decoding is most of the work, each
//! thread decodes and multiplies panels of its own. No result depends on the number of threads.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::Blocks;
use crate::cpu::{FEW_ROWS, FewRows, Matrix, MatrixMut, Precision, Start, Threads, WeightPanels};

/// Elements that all threads decode at a time, about: four megabytes.
const TOGETHER: usize = 1 << 20;
/// Elements that a thread decodes for itself at most: a megabyte.
const ALONE: usize = 256 << 10;
/// Rows of a panel are a multiple of the columns of all tiles.
const TILES: usize = 48;
/// Elements below which waking a thread to decode them costs more than it saves.
const WORTH_THREADS: usize = 1 << 14;

thread_local! {
    static DECODED: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Memory of which every thread writes a part of its own.
#[derive(Clone, Copy)]
struct Place(*mut f32);

#[expect(unsafe_code, reason = "threads write disjoint columns of one matrix")]
// SAFETY: jobs write columns of their own (see `columns_of`), and the memory outlives the parallel loop.
unsafe impl Sync for Place {}

impl Place {
    /// Columns `first .. first + columns` of a matrix of `rows` rows, `stride` apart.
    ///
    /// # Safety
    /// The matrix is `rows` rows of `stride` elements from the place on, nobody else touches these columns, and they are
    /// initialised unless they are only written.
    #[expect(unsafe_code, reason = "threads write disjoint columns of one matrix")]
    unsafe fn columns_of<'a>(
        self,
        first: usize,
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> MatrixMut<'a> {
        // SAFETY: the caller's promise.
        unsafe { MatrixMut::from_raw(self.0.add(first), rows, columns, stride) }
    }
}

/// The weight in the order of products in that precision, if it is.
pub(crate) fn panels(precision: Precision, weight: &dyn Blocks) -> Option<&WeightPanels> {
    weight.as_bf16().filter(|_| precision == Precision::Bf16)?.panels()
}

/// `x Wᵀ`: `[rows, inputs]` → `[rows, outputs]`.
#[expect(unsafe_code, reason = "the product is written to memory that is not zeroed first")]
pub(crate) fn outputs(precision: Precision, x: &[f32], rows: usize, weight: &dyn Blocks) -> Vec<f32> {
    if let Some(panels) = panels(precision, weight) {
        let [y] = WeightPanels::products([panels], x, rows);
        return y;
    }
    let (outputs, inputs) = weight.shape();
    let mut y = Vec::with_capacity(rows * outputs);
    let place = Place(y.as_mut_ptr());
    if (1..=FEW_ROWS).contains(&rows) && inputs > 0 {
        of_few(precision, x, weight, place);
    } else {
        of_many(precision, x, rows, weight, place);
    }
    // SAFETY: both write every output of all rows.
    unsafe { y.set_len(rows * outputs) };
    y
}

/// The outputs of few rows, to a matrix `[rows, outputs]` that nobody has written yet.
#[expect(unsafe_code, reason = "threads write columns of one matrix")]
fn of_few(precision: Precision, x: &[f32], weight: &dyn Blocks, place: Place) {
    let (outputs, inputs) = weight.shape();
    let most = (ALONE / inputs / TILES).clamp(1, 8) * TILES;
    let jobs = outputs.div_ceil(most).next_multiple_of(rayon::current_num_threads());
    let panel = outputs.div_ceil(jobs).next_multiple_of(TILES / 2).max(1);
    let (rows, few) = (x.len() / inputs, FewRows::of(precision, x, inputs));
    (0..outputs.div_ceil(panel)).into_par_iter().for_each(|job| {
        let first = job * panel;
        let own = first..outputs.min(first + panel);
        decoded(own.len() * inputs, |w| {
            for (row, to) in own.clone().zip(w.chunks_mut(inputs)) {
                weight.decode(row, 0..inputs, to);
            }
            // SAFETY: the matrix has all rows, and each job writes the columns of its own outputs.
            let part = unsafe { place.columns_of(first, rows, own.len(), outputs) };
            few.multiply(w, |row, output, values| part.write(row, output, values));
        });
    });
}

/// The outputs of any number of rows, to a matrix `[rows, outputs]` that nobody has written yet.
#[expect(unsafe_code, reason = "columns of a matrix that is not zeroed first")]
fn of_many(precision: Precision, x: &[f32], rows: usize, weight: &dyn Blocks, place: Place) {
    let (outputs, inputs) = weight.shape();
    let panel = (TOGETHER / inputs.max(1)).max(1).next_multiple_of(TILES).min(outputs.max(1));
    decoded(panel * inputs, |w| {
        for first in (0..outputs).step_by(panel) {
            let own = first..outputs.min(first + panel);
            let w = decode(weight, own.clone(), 0..inputs, w);
            // SAFETY: the matrix has all rows, and these columns are written here alone, without being read.
            let part = unsafe { place.columns_of(first, rows, own.len(), outputs) };
            let w = Matrix::new(w, own.len(), inputs);
            precision.matmul(Start::Zero, Matrix::new(x, rows, inputs), w.t(), part, Threads::All);
        }
    });
}

/// `g W`: `[rows, outputs]` → `[rows, inputs]`.
#[expect(unsafe_code, reason = "the product is written to memory that is not zeroed first")]
pub(crate) fn input_gradient(
    precision: Precision,
    grad: &[f32],
    rows: usize,
    weight: &dyn Blocks,
) -> Vec<f32> {
    let len = rows * weight.shape().1;
    let mut dx = Vec::with_capacity(len);
    add_products(precision, Start::Zero, grad, rows, weight, Place(dx.as_mut_ptr()));
    // SAFETY: every column was written in all rows, the first time without being read.
    unsafe { dx.set_len(len) };
    dx
}

/// Adds `g W` to `dx`, `[rows, inputs]`.
pub(crate) fn add_input_gradient(
    precision: Precision,
    dx: &mut [f32],
    grad: &[f32],
    rows: usize,
    weight: &dyn Blocks,
) {
    assert_eq!(dx.len(), rows * weight.shape().1, "the gradient of the input");
    add_products(precision, Start::Out, grad, rows, weight, Place(dx.as_mut_ptr()));
}

#[expect(unsafe_code, reason = "columns of a matrix that may not be written yet")]
fn add_products(
    precision: Precision,
    start: Start,
    grad: &[f32],
    rows: usize,
    weight: &dyn Blocks,
    place: Place,
) {
    let (outputs, inputs) = weight.shape();
    let inner = precision.block_len(outputs);
    let columns = (TOGETHER / inner).next_multiple_of(weight.columns_at_once()).min(inputs.max(1));
    decoded(inner * columns, |w| {
        for first_column in (0..inputs).step_by(columns) {
            let own = first_column..inputs.min(first_column + columns);
            for first in (0..outputs.max(1)).step_by(inner) {
                let some = first..outputs.min(first + inner);
                let w = decode(weight, some.clone(), own.clone(), w);
                let start = if first == 0 { start } else { Start::Out };
                let left = Matrix::strided(&grad[first.min(grad.len())..], rows, some.len(), outputs);
                let right = Matrix::new(w, some.len(), own.len());
                // SAFETY: the matrix has all rows; unless it is written already, these columns are, the first time,
                // without being read.
                let part = unsafe { place.columns_of(own.start, rows, own.len(), inputs) };
                precision.matmul(start, left, right, part, Threads::All);
            }
        }
    });
}

/// Some columns of some rows of the weight, decoded by all threads to the beginning of `to`.
fn decode<'a>(
    weight: &dyn Blocks,
    rows: Range<usize>,
    columns: Range<usize>,
    to: &'a mut [f32],
) -> &'a [f32] {
    let (to, width) = (&mut to[..rows.len() * columns.len()], columns.len().max(1));
    to.par_chunks_mut(width)
        .with_min_len(WORTH_THREADS.div_ceil(width))
        .enumerate()
        .for_each(|(row, to)| weight.decode(rows.start + row, columns.clone(), to));
    to
}

/// Calls `work` with room for so many elements, which the thread keeps for the next time.
fn decoded(len: usize, work: impl FnOnce(&mut [f32])) {
    // Taken, not borrowed: while this thread waits for others, it may be given another product to compute.
    let mut buffer = DECODED.take();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    work(&mut buffer[..len]);
    DECODED.set(buffer);
}
