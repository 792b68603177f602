//! A weight that nothing changes, rounded and in the order of the kernel once for all products: 2 bytes an element, and
//! `x Wᵀ` brings x alone into order.
//!
//! Its results are those of the weight as numbers, to the bit: of few rows a sum runs along the whole inner dimension, of
//! many in blocks of it. Of few rows a product takes as long as the memory takes to give the weight.

#![expect(unsafe_code, reason = "threads write disjoint parts of one matrix, in code for a CPU feature")]

use super::super::kernel::Operand;
use super::super::matrix::Pointer;
use super::super::share::each;
use super::kernel::{COLUMNS, LANES, ROWS, Strip, is_here, multiply};
use super::share::{JOB_ROWS, ORDER_ROWS, block_len};
use super::{order, share::at};
use crate::cpu::FEW_ROWS;

/// Multiply-adds below which one thread is quicker than waking a second.
const WORTH_SHARING: usize = 1 << 18;
/// Panels that a thread multiplies few rows with at a time.
const PANELS_AT_ONCE: usize = 2;

/// The transpose of a weight `[outputs, inputs]`: for each [`COLUMNS`] outputs a panel, which has all inputs.
#[derive(Clone, Debug)]
pub(crate) struct WeightPanels {
    outputs: usize,
    inputs: usize,
    pairs: Vec<u32>,
}

impl WeightPanels {
    /// Those of `weight`, if the CPU has arithmetic for them.
    pub(crate) fn of(weight: &[f32], (outputs, inputs): (usize, usize)) -> Option<Self> {
        assert_eq!(weight.len(), outputs * inputs, "elements of the weight");
        if !is_here() || weight.is_empty() {
            return None;
        }
        let panel_len = inputs.div_ceil(2) * COLUMNS;
        let mut pairs = vec![0u32; outputs.div_ceil(COLUMNS) * panel_len + LANES];
        let to = Pointer(pairs.as_mut_ptr());
        each(outputs.div_ceil(COLUMNS), rayon::current_num_threads(), |panel| {
            let column = panel * COLUMNS;
            let from = Operand { data: weight.as_ptr(), row_stride: 1, column_stride: inputs };
            let (columns, to) = (COLUMNS.min(outputs - column), to.get().wrapping_add(panel * panel_len));
            // SAFETY: the CPU has the feature; columns of the transpose, and for each job the room of its panel: what an
            // odd number of registers writes beyond ends with the next one, or in the register at the end.
            unsafe { order::panel(at(from, 0, column), inputs, columns, to) };
        });
        Some(Self { outputs, inputs, pairs })
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.pairs)
    }

    /// Writes the elements of a row of the weight from `first` on.
    pub(crate) fn decode(&self, row: usize, first: usize, to: &mut [f32]) {
        assert!(row < self.outputs && first + to.len() <= self.inputs, "elements of the weight");
        let (panel, column) = (row / COLUMNS, row % COLUMNS);
        let panel = &self.pairs[panel * self.inputs.div_ceil(2) * COLUMNS + column..];
        for (input, to) in (first..).zip(to) {
            let pair = panel[input / 2 * COLUMNS];
            *to = f32::from_bits(if input % 2 == 0 { pair << 16 } else { pair & 0xffff_0000 });
        }
    }

    /// `x Wᵀ` for each of `weights`, which take the same inputs: `[rows, inputs]` → `[rows, outputs]`.
    pub(crate) fn products<const N: usize>(weights: [&Self; N], x: &[f32], rows: usize) -> [Vec<f32>; N] {
        let inputs = weights.first().map_or(0, |weight| weight.inputs);
        assert!(weights.iter().all(|weight| weight.inputs == inputs) && x.len() == rows * inputs);
        let outputs = weights.map(|weight| weight.outputs);
        let mut products = outputs.map(|outputs| Vec::<f32>::with_capacity(rows * outputs));
        let to = products.each_mut().map(|product| Pointer(product.as_mut_ptr()));
        let work = rows * inputs * outputs.iter().sum::<usize>();
        let threads = if work < WORTH_SHARING { 1 } else { rayon::current_num_threads() };
        let few = rows <= FEW_ROWS;
        let (pairs, stride) = (inputs.div_ceil(2), inputs.div_ceil(2).next_multiple_of(LANES));
        let mut left = Vec::<u32>::with_capacity(rows.next_multiple_of(2 * ROWS) * stride);
        let left = Pointer(left.as_mut_ptr());
        each(rows.div_ceil(ORDER_ROWS), if few { 1 } else { threads }, |job| {
            let row = job * ORDER_ROWS;
            let from = Operand { data: x.as_ptr(), row_stride: inputs, column_stride: 1 };
            let (some, to) = (ORDER_ROWS.min(rows - row), left.get().wrapping_add(row * stride));
            // SAFETY: there are no panels unless the CPU has the feature; rows of x, each job's to rows of its own.
            unsafe { order::rows_of_pairs(at(from, row, 0), some, inputs, to, stride) };
        });
        let block = if few { inputs.next_multiple_of(2) } else { block_len(inputs) };
        let panels = outputs.map(|outputs| outputs.div_ceil(COLUMNS));
        let groups = panels.map(|panels| panels.div_ceil(if few { PANELS_AT_ONCE } else { 1 }));
        let together: usize = groups.iter().sum();
        let pieces = (2 * threads).div_ceil(together.max(1)).min(rows / (4 * ROWS));
        let pieces = if threads == 1 { 1 } else { pieces }.max(rows.div_ceil(JOB_ROWS)).max(1);
        let some_rows = rows.div_ceil(pieces).next_multiple_of(2 * ROWS).max(1);
        each(rows.div_ceil(some_rows) * together, threads, |job| {
            let (row, mut group, mut which) = (job / together * some_rows, job % together, 0);
            while group >= groups[which] {
                (which, group) = (which + 1, group - groups[which]);
            }
            let (weight, at_once) = (weights[which], panels[which].div_ceil(groups[which]).max(1));
            for panel in (group * at_once..panels[which].min((group + 1) * at_once)).take(at_once) {
                let column = panel * COLUMNS;
                for from in (0..inputs).step_by(block) {
                    let strip = Strip {
                        left: left.get().wrapping_add(row * stride + from / 2),
                        tile_stride: ROWS * stride,
                        row_stride: stride,
                        pair_stride: 1,
                        rows: some_rows.min(rows - row),
                        pairs: block.min(inputs - from).div_ceil(2),
                        panel: weight.pairs[(panel * pairs + from / 2) * COLUMNS..].as_ptr(),
                        columns: COLUMNS.min(weight.outputs - column),
                        out: to[which].get().wrapping_add(row * weight.outputs + column),
                        out_stride: weight.outputs,
                        add: from > 0,
                    };
                    // SAFETY: rows were brought into order above; panels are whole; no two jobs share an element of a
                    // result, whose rows and columns these are, and which is not read before it is written; the CPU has
                    // the feature.
                    unsafe { multiply(strip) };
                }
            }
        });
        for (product, outputs) in products.iter_mut().zip(outputs) {
            // SAFETY: so many were reserved, and the jobs cover all rows and all panels.
            unsafe { product.set_len(rows * outputs) };
        }
        products
    }
}
