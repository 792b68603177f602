//! Products with weights in blocks: panels are decoded into what a cache holds, and multiplied there.
//!
//! A job decodes some rows, or some columns, of the weight and computes what depends on them: no result depends on the number
//! of threads, and no thread waits for another's panel.

use std::cell::RefCell;

use rayon::prelude::*;

use super::Blocks;
use crate::cpu::{FEW_ROWS, Matrix, MatrixMut, Panel, Start, Threads, matmul, multiply};

/// Elements of a panel at most: a megabyte.
const PANEL: usize = 256 << 10;
/// Rows of a panel are a multiple of the columns of all tiles.
const TILES: usize = 48;
/// Columns that an input's gradient is computed for at a time, about.
const COLUMNS: usize = 256;
/// Rows of the weight that are added at a time: the blocks of the product's inner dimension.
const INNER: usize = 640;

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

/// `x Wᵀ`: `[rows, inputs]` → `[rows, outputs]`.
#[expect(unsafe_code, reason = "the product is written to memory that is not zeroed first")]
pub(crate) fn outputs(x: &[f32], rows: usize, weight: &dyn Blocks) -> Vec<f32> {
    let (outputs, inputs) = weight.shape();
    let panel = (PANEL / inputs.max(1) / TILES).clamp(1, 8) * TILES;
    let few = ((1..=FEW_ROWS).contains(&rows) && inputs > 0).then(|| Panel::all(x, inputs));
    let mut y = Vec::with_capacity(rows * outputs);
    let place = Place(y.as_mut_ptr());
    (0..outputs.div_ceil(panel)).into_par_iter().for_each(|job| {
        let first = job * panel;
        let own = first..outputs.min(first + panel);
        decoded(own.len() * inputs, |w| {
            for (row, to) in own.clone().zip(w.chunks_mut(inputs.max(1))) {
                weight.decode(row, 0..inputs, to);
            }
            // SAFETY: `y` has room for all rows, and each job writes the columns of its own outputs.
            let part = unsafe { place.columns_of(first, rows, own.len(), outputs) };
            match &few {
                Some(panels) => panels.iter().for_each(|panel| {
                    multiply(w, panel, |row, output, values| part.write(row, output, values));
                }),
                None => {
                    let w = Matrix::new(w, own.len(), inputs);
                    matmul(Start::Zero, Matrix::new(x, rows, inputs), w.t(), part, Threads::One);
                }
            }
        });
    });
    // SAFETY: every output is one job's, which wrote it for all rows.
    unsafe { y.set_len(rows * outputs) };
    y
}

/// `g W`: `[rows, outputs]` → `[rows, inputs]`.
#[expect(unsafe_code, reason = "the product is written to memory that is not zeroed first")]
pub(crate) fn input_gradient(grad: &[f32], rows: usize, weight: &dyn Blocks) -> Vec<f32> {
    let (outputs, inputs) = weight.shape();
    let unit = weight.columns_at_once();
    let columns = COLUMNS.next_multiple_of(unit);
    let inner = outputs.div_ceil(outputs.div_ceil(INNER).max(1)).max(1);
    let mut dx = Vec::with_capacity(rows * inputs);
    let place = Place(dx.as_mut_ptr());
    (0..inputs.div_ceil(columns)).into_par_iter().for_each(|job| {
        let own = job * columns..inputs.min((job + 1) * columns);
        decoded(inner * own.len(), |w| {
            for first in (0..outputs.max(1)).step_by(inner) {
                let some = first..outputs.min(first + inner);
                for (row, to) in some.clone().zip(w.chunks_mut(own.len())) {
                    weight.decode(row, own.clone(), to);
                }
                let start = if first == 0 { Start::Zero } else { Start::Out };
                let left = Matrix::strided(&grad[first.min(grad.len())..], rows, some.len(), outputs);
                let right = Matrix::new(&w[..some.len() * own.len()], some.len(), own.len());
                // SAFETY: `dx` has room for all rows, each job writes columns of its own, the first time without reading.
                let part = unsafe { place.columns_of(own.start, rows, own.len(), inputs) };
                matmul(start, left, right, part, Threads::One);
            }
        });
    });
    // SAFETY: every column is one job's, whose first product wrote it in all rows.
    unsafe { dx.set_len(rows * inputs) };
    dx
}

/// Calls `work` with room for so many elements, which a thread keeps for the next time.
fn decoded(len: usize, work: impl FnOnce(&mut [f32])) {
    DECODED.with_borrow_mut(|buffer| {
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        work(&mut buffer[..len]);
    });
}
