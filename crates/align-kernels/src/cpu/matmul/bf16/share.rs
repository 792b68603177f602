//! How a product of bf16 is cut into jobs for threads and into what caches hold.

#![expect(unsafe_code, reason = "threads write disjoint parts of one matrix")]

use std::cell::RefCell;

use super::super::kernel::Operand;
use super::super::matrix::Pointer;
pub(super) use super::super::share::at;
use super::super::share::{Block, each};
use super::super::{Matrix, MatrixMut, Start};
use super::kernel::{COLUMNS, LANES, ROWS, Strip, multiply};
use super::order;

/// Inner indices of a block at most, in which a panel is 120 KiB.
const INNER: usize = 1280;
/// Rows of a job at most: those of the left operand stay in the second cache while panels come and go.
pub(super) const JOB_ROWS: usize = 512;
/// Rows that are brought into order at a time; a multiple of a register, which has the rows of two tiles.
pub(super) const ORDER_ROWS: usize = 64;
/// Columns that panels are made of at a time: of more, they would not stay in the caches.
const MOST_COLUMNS: usize = 85 * COLUMNS;

thread_local! {
    static ORDERED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// The product, in as many jobs as keep `threads` threads busy.
#[expect(clippy::needless_pass_by_value, reason = "the exclusive borrow ends with the product")]
pub(super) fn compute(start: Start, a: Matrix<'_>, b: Matrix<'_>, out: MatrixMut<'_>, threads: usize) {
    let (rows, columns) = out.shape();
    if rows == 0 || columns == 0 {
        return;
    }
    let operand = |(data, row_stride, column_stride)| Operand { data, row_stride, column_stride };
    let (left, right, inner) = (operand(a.parts()), operand(b.parts()), a.columns());
    let (out, out_stride) = out.parts();
    let block = block_len(inner);
    // Taken, not borrowed: while this thread waits for others, it may be given another product to compute.
    let mut ordered = ORDERED.take();
    for column in (0..columns).step_by(MOST_COLUMNS) {
        for from in (0..inner.max(1)).step_by(block) {
            let part = Block {
                left: at(left, 0, from),
                right: at(right, from, column),
                rows,
                inner: block.min(inner - from),
                columns: MOST_COLUMNS.min(columns - column),
                out: out.wrapping_add(column),
                out_stride,
                add: start == Start::Out || from > 0,
            };
            compute_block(&part, threads, &mut ordered);
        }
    }
    ORDERED.set(ordered);
}

/// The size of all blocks of an inner dimension but the last.
pub(super) fn block_len(inner: usize) -> usize {
    inner.div_ceil(inner.div_ceil(INNER).max(1)).next_multiple_of(2).max(1)
}

/// A block of the inner dimension, of some columns.
fn compute_block(block: &Block, threads: usize, ordered: &mut Vec<u32>) {
    let (pairs, panels) = (block.inner.div_ceil(2), block.columns.div_ceil(COLUMNS));
    let by_rows = block.left.column_stride == 1;
    // A row of pairs is written in whole registers, tiles in twos.
    let row_pairs = pairs.next_multiple_of(LANES);
    let left_len = block.rows.next_multiple_of(2 * ROWS) * row_pairs;
    let panel_len = pairs * COLUMNS;
    let len = left_len + panels * panel_len + LANES;
    if ordered.len() < len {
        ordered.resize(len, 0);
    }
    let to = Pointer(ordered.as_mut_ptr());
    let (left, right) = (move || to.get(), move || to.get().wrapping_add(left_len));
    let groups = block.rows.div_ceil(ORDER_ROWS);
    each(groups + panels, threads, |job| {
        // SAFETY: rows and columns are inside the operands, which are slices; each job writes rows or a panel of its own,
        // for which there is room; there is no such product without the CPU's feature.
        unsafe {
            if let Some(panel) = job.checked_sub(groups) {
                let column = panel * COLUMNS;
                let columns = COLUMNS.min(block.columns - column);
                let to = right().wrapping_add(panel * panel_len);
                order::panel(at(block.right, 0, column), block.inner, columns, to);
            } else {
                let row = job * ORDER_ROWS;
                let (rows, from) = (ORDER_ROWS.min(block.rows - row), at(block.left, row, 0));
                if by_rows {
                    let to = left().wrapping_add(row * row_pairs);
                    order::rows_of_pairs(from, rows, block.inner, to, row_pairs);
                } else {
                    order::tiles_of_pairs(from, rows, block.inner, left().wrapping_add(row * pairs));
                }
            }
        }
    });
    let pieces = (2 * threads).div_ceil(panels).min(block.rows / (4 * ROWS));
    let pieces = if threads == 1 { 1 } else { pieces }.max(block.rows.div_ceil(JOB_ROWS));
    let rows = block.rows.div_ceil(pieces).next_multiple_of(2 * ROWS);
    let (row_stride, pair_stride, row_len) =
        if by_rows { (row_pairs, 1, row_pairs) } else { (1, ROWS, pairs) };
    each(block.rows.div_ceil(rows) * panels, threads, |job| {
        let (row, panel) = (job / panels * rows, job % panels);
        let column = panel * COLUMNS;
        let strip = Strip {
            left: left().wrapping_add(row * row_len),
            tile_stride: ROWS * row_len,
            row_stride,
            pair_stride,
            rows: rows.min(block.rows - row),
            pairs,
            panel: right().wrapping_add(panel * panel_len),
            columns: COLUMNS.min(block.columns - column),
            out: block.out.wrapping_add(row * block.out_stride + column),
            out_stride: block.out_stride,
            add: block.add,
        };
        // SAFETY: what is read was written above; no two jobs share an element of the result, whose rows and columns these
        // are; there is no such product without the CPU's feature.
        unsafe { multiply(strip) };
    });
}
