//! Products `x Wᵀ` of few rows of bf16: the weight is on the left, its rows as they lie, and the rows of x are a panel.

#![expect(unsafe_code, reason = "calls code for a CPU feature, which reads and writes through pointers")]

use std::cell::RefCell;

use super::super::kernel::Operand;
use super::kernel::{COLUMNS, LANES, ROWS, Strip, is_here, multiply};
use super::order;

thread_local! {
    static WEIGHT: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Rows of `x` as panels of pairs.
pub(crate) struct PairPanels {
    rows: usize,
    inputs: usize,
    pairs: Vec<u32>,
}

impl PairPanels {
    /// The rows of `x`, `[rows, inputs]`, if the CPU has arithmetic for them.
    pub(crate) fn of(x: &[f32], inputs: usize) -> Option<Self> {
        if !is_here() {
            return None;
        }
        let (rows, panel_len) = (x.len() / inputs, inputs.div_ceil(2) * COLUMNS);
        let mut pairs = vec![0u32; rows.div_ceil(COLUMNS) * panel_len + LANES];
        for (panel, x) in x.chunks(COLUMNS * inputs).enumerate() {
            let from = Operand { data: x.as_ptr(), row_stride: 1, column_stride: inputs };
            let to = pairs[panel * panel_len..].as_mut_ptr();
            // SAFETY: the CPU has the feature; as many columns as there are rows of x, and room for their panel.
            unsafe { order::panel(from, inputs, x.len() / inputs, to) };
        }
        Some(Self { rows, inputs, pairs })
    }

    /// See [`multiply`](crate::cpu::tile::multiply).
    pub(crate) fn multiply(&self, w: &[f32], put: impl Fn(usize, usize, &[f32])) {
        debug_assert!(w.len().is_multiple_of(self.inputs), "whole rows of the weight");
        let pairs = self.inputs.div_ceil(2);
        let stride = pairs.next_multiple_of(LANES);
        WEIGHT.with_borrow_mut(|weight| {
            weight.resize(weight.len().max(ROWS * stride), 0);
            for (tile, w) in w.chunks(ROWS * self.inputs).enumerate() {
                let rows = w.len() / self.inputs;
                let from = Operand { data: w.as_ptr(), row_stride: self.inputs, column_stride: 1 };
                // SAFETY: there are no panels unless the CPU has the feature; so many rows, and room for them.
                unsafe { order::rows_of_pairs(from, rows, self.inputs, weight.as_mut_ptr(), stride) };
                for first in (0..self.rows).step_by(COLUMNS) {
                    let columns = COLUMNS.min(self.rows - first);
                    let mut out = [0f32; ROWS * COLUMNS];
                    let strip = Strip {
                        left: weight.as_ptr(),
                        tile_stride: 0,
                        row_stride: stride,
                        pair_stride: 1,
                        rows,
                        pairs,
                        panel: self.pairs[first / COLUMNS * pairs * COLUMNS..].as_ptr(),
                        columns,
                        out: out.as_mut_ptr(),
                        out_stride: COLUMNS,
                        add: false,
                    };
                    // SAFETY: as above; the result has room for a tile.
                    unsafe { multiply(strip) };
                    for column in 0..columns {
                        let values: [f32; ROWS] = std::array::from_fn(|row| out[row * COLUMNS + column]);
                        put(first + column, tile * ROWS, &values[..rows]);
                    }
                }
            }
        });
    }
}
