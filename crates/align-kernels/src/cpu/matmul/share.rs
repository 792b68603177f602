//! How a product is cut into jobs for threads and into what caches hold.
//!
//! Not along the inner dimension among threads: blocks of it, whose bounds are a matter of the shape alone,
//! are summed each for itself and added in order, so that no cut changes a bit of the result.

#![expect(unsafe_code, reason = "threads write disjoint parts of one matrix")]

use std::cell::RefCell;
use std::marker::PhantomData;

use rayon::prelude::*;

use super::kernel::{Kernel, Operand, Strip};
use super::matrix::Pointer;
use super::{Matrix, MatrixMut, Start, block_len};

/// Rows of a job: those of the left operand stay in the caches while panels come and go.
const ROWS: usize = 512;

/// Rows of a job at least, where jobs make the same panel again each for itself.
const ROWS_AT_LEAST: usize = 96;

/// Rows of a matrix from which on panels of the other pay: with fewer it is read where it is.
const WORTH_A_PANEL: usize = 48;

thread_local! {
    static PANEL: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A product that is about to be computed, once: it owns the exclusive borrow of its result.
pub(super) struct Product<'a> {
    whole: Block,
    matrices: PhantomData<(&'a f32, &'a mut f32)>,
}

impl<'a> Product<'a> {
    /// The shapes fit: [`matmul`](super::matmul) has compared them.
    #[expect(clippy::needless_pass_by_value, reason = "the exclusive borrow ends with the product")]
    pub(super) fn of(start: Start, a: Matrix<'a>, b: Matrix<'a>, out: MatrixMut<'a>) -> Self {
        let operand = |(data, row_stride, column_stride)| Operand { data, row_stride, column_stride };
        let (to, out_stride) = out.parts();
        let whole = Block {
            left: operand(a.parts()),
            right: operand(b.parts()),
            rows: a.rows(),
            inner: a.columns(),
            columns: b.columns(),
            out: to,
            out_stride,
            add: start == Start::Out,
        };
        Self { whole, matrices: PhantomData }
    }

    /// The product by `kernel`, in as many jobs as keep `threads` threads busy.
    pub(super) fn compute(self, kernel: Kernel, threads: usize) {
        let whole = self.whole;
        if whole.rows == 0 || whole.columns == 0 {
            return;
        }
        if whole.left.column_stride != 1 && whole.columns > kernel.columns() {
            whole.blocks().for_each(|block| block.by_rows(kernel, threads));
        } else {
            whole.by_columns(kernel, threads);
        }
    }
}

/// Where a product, or a block of the inner dimension of one, is in memory.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) left: Operand,
    pub(super) right: Operand,
    pub(super) rows: usize,
    pub(super) inner: usize,
    pub(super) columns: usize,
    pub(super) out: *mut f32,
    pub(super) out_stride: usize,
    pub(super) add: bool,
}

// SAFETY: operands are only read, and jobs write disjoint parts of the result. That nobody else reads or writes it is
// what `Product` stands for: it is made from the exclusive borrow, is no copy of another, and ends with its one
// `compute`, outside of which no block exists.
unsafe impl Sync for Block {}

impl Block {
    /// Blocks of the inner dimension: products that all but the first add to the result.
    fn blocks(&self) -> impl Iterator<Item = Self> {
        let size = block_len(self.inner);
        (0..self.inner.max(1)).step_by(size).map(move |from| Self {
            left: at(self.left, 0, from),
            right: at(self.right, from, 0),
            inner: size.min(self.inner - from),
            add: self.add || from > 0,
            ..*self
        })
    }

    /// Each job makes a panel of some columns and multiplies rows with it: for a left operand that can be
    /// read as it is.
    fn by_columns(&self, kernel: Kernel, threads: usize) {
        let panels = self.columns.div_ceil(kernel.columns());
        let pieces = (2 * threads).div_ceil(panels).min(self.rows / ROWS_AT_LEAST);
        let pieces = if threads == 1 { 1 } else { pieces }.max(self.rows.div_ceil(ROWS));
        let rows = self.rows.div_ceil(pieces).next_multiple_of(kernel.rows());
        let as_it_is = self.right.column_stride == 1 && self.rows < WORTH_A_PANEL;
        each(pieces * panels, threads, |job| {
            let (row, column) = (job / panels * rows, job % panels * kernel.columns());
            let columns = kernel.columns().min(self.columns - column);
            let strip = |block: &Self| Strip {
                left: at(block.left, row, 0),
                tile_stride: kernel.rows() * self.left.row_stride,
                rows: rows.min(self.rows.saturating_sub(row)),
                inner: block.inner,
                panel: at(block.right, 0, column).data,
                panel_stride: self.right.row_stride,
                columns,
                out: self.out.wrapping_add(row * self.out_stride + column),
                out_stride: self.out_stride,
                add: block.add,
            };
            for block in self.blocks() {
                // SAFETY: rows and columns are inside the matrices, which are slices or what `MatrixMut::from_raw`
                // was promised; the panel has the room that `pack` asks for; no two jobs share an element of `out`;
                // there is no kernel without its CPU features (`Kernel::get`).
                unsafe {
                    if as_it_is {
                        kernel.multiply(strip(&block));
                        continue;
                    }
                    PANEL.with_borrow_mut(|panel| {
                        let panel = room(panel, block.inner * kernel.columns());
                        kernel.pack(at(block.right, 0, column), block.inner, columns, panel);
                        kernel.multiply(Strip { panel, panel_stride: kernel.columns(), ..strip(&block) });
                    });
                }
            }
        });
    }

    /// All panels first; then each job brings some rows of the left operand, which lie crosswise, into the
    /// order of the tiles, and multiplies them with every panel.
    fn by_rows(&self, kernel: Kernel, threads: usize) {
        let panels = self.columns.div_ceil(kernel.columns());
        let panel_len = self.inner * kernel.columns();
        let mut all = Vec::<f32>::new();
        let all = Pointer(room(&mut all, panels * panel_len));
        each(panels, threads, |panel| {
            let column = panel * kernel.columns();
            let columns = kernel.columns().min(self.columns - column);
            // SAFETY: the columns are inside the right operand, and each job writes a panel of its own; the CPU has the
            // kernel's features (`Kernel::get`).
            unsafe {
                let right = at(self.right, 0, column);
                kernel.pack(right, self.inner, columns, all.get().wrapping_add(panel * panel_len));
            }
        });
        let rows = self.rows.div_ceil(8 * threads).min(ROWS / 2).next_multiple_of(kernel.rows());
        each(self.rows.div_ceil(rows), threads, |job| {
            let row = job * rows;
            let rows = rows.min(self.rows - row);
            PANEL.with_borrow_mut(|tiles| {
                let tiles = room(tiles, rows.next_multiple_of(kernel.rows()) * self.inner);
                // SAFETY: the rows are inside the left operand and `tiles` has room for them; the panels are written;
                // no two jobs share a row of `out`; the CPU has the kernel's features (`Kernel::get`).
                unsafe {
                    kernel.turn(at(self.left, row, 0), rows, self.inner, tiles);
                    for panel in 0..panels {
                        let column = panel * kernel.columns();
                        kernel.multiply(Strip {
                            left: Operand { data: tiles, row_stride: 1, column_stride: kernel.rows() },
                            tile_stride: kernel.rows() * self.inner,
                            rows,
                            inner: self.inner,
                            panel: all.get().wrapping_add(panel * panel_len),
                            panel_stride: kernel.columns(),
                            columns: kernel.columns().min(self.columns - column),
                            out: self.out.wrapping_add(row * self.out_stride + column),
                            out_stride: self.out_stride,
                            add: self.add,
                        });
                    }
                }
            });
        });
    }
}

/// Calls `job` with all numbers below `jobs`.
pub(super) fn each(jobs: usize, threads: usize, job: impl Fn(usize) + Sync) {
    if threads == 1 {
        (0..jobs).for_each(&job);
    } else {
        (0..jobs).into_par_iter().for_each(&job);
    }
}

/// The operand from a row and a column on.
pub(super) fn at(operand: Operand, row: usize, column: usize) -> Operand {
    let offset = row * operand.row_stride + column * operand.column_stride;
    Operand { data: operand.data.wrapping_add(offset), ..operand }
}

/// Memory for `len` elements, with anything in it.
fn room(buffer: &mut Vec<f32>, len: usize) -> *mut f32 {
    buffer.clear();
    buffer.reserve(len);
    buffer.as_mut_ptr()
}
