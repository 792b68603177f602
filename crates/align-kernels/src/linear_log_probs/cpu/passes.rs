//! The two passes over the tiles of the logits. A tile is done with before it leaves the cache.
//!
//! Matrix products and the work on rows are shared among the threads of the current rayon pool; sums are
//! formed in the order of the tiles.

use rayon::prelude::*;

use super::rows::{Row, Softmax};
use super::sums::{Sum, append_product};
use super::tiles::{Tile, largest, tiles};
use super::weight::{Columns, Decoded};
use crate::SoftCap;
use crate::cpu::{Matrix, Precision};
use crate::softcap::{cap, scale_by_slope};

/// Rows of a tile that a thread takes at once: some 10 µs of work.
const ROWS_PER_TASK: usize = 8;

/// What the logits are the product of.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    hidden: &'a [f32],   // [rows, width]
    weight: Columns<'a>, // [vocab, width]
    rows: usize,
    vocab: usize,
    width: usize,
    softcap: Option<SoftCap>,
    precision: Precision,
}

impl<'a> Operands<'a> {
    /// `hidden` `[rows, width]` and `weight` `[vocab, width]`.
    pub(super) fn new(
        hidden: &'a [f32],
        weight: Columns<'a>,
        [rows, vocab]: [usize; 2],
        softcap: Option<SoftCap>,
        precision: Precision,
    ) -> Self {
        Self { hidden, weight, rows, vocab, width: weight.count(), softcap, precision }
    }

    /// Number of logits.
    pub(super) fn logits(&self) -> usize {
        self.rows * self.vocab
    }

    /// Shows each row its logits, and leaves all of them in `kept`, tile after tile.
    pub(super) fn forward<R: Row>(&self, rows: &mut [R], kept: Option<&mut Vec<f32>>) {
        let keep = kept.is_some();
        let (mut scratch, mut decoded) = (Vec::new(), Decoded::default());
        let logits = kept.unwrap_or(&mut scratch);
        logits.reserve_exact(if keep { self.logits() } else { largest(self.rows, self.vocab) });
        // Inside the pool, where starting parallel work costs least.
        rayon::scope(|_| {
            for tile in tiles(self.rows, self.vocab) {
                if !keep {
                    logits.clear();
                }
                let start = logits.len();
                self.append_logits(logits, &tile, &mut decoded);
                let columns = tile.columns.len();
                rows[tile.rows.clone()]
                    .par_chunks_mut(ROWS_PER_TASK)
                    .zip(logits[start..].par_chunks_mut(ROWS_PER_TASK * columns))
                    .flat_map_iter(|(rows, logits)| rows.iter_mut().zip(logits.chunks_mut(columns)))
                    .for_each(|(row, logits)| {
                        self.softcap.iter().for_each(|&by| cap(logits, by));
                        row.absorb(logits, tile.columns.start);
                    });
            }
        });
    }

    /// Adds to the gradients that are wanted, given each row's. `kept` is what the forward pass left; it
    /// is overwritten.
    pub(super) fn backward(
        &self,
        rows: &[Softmax],
        grad: &[f32],
        kept: Option<Vec<f32>>,
        mut d_hidden: Option<Sum<'_>>,
        mut d_weight: Option<Sum<'_>>,
    ) {
        let keep = kept.is_some();
        let mut decoded = Decoded::default();
        let mut logits = kept.unwrap_or_else(|| Vec::with_capacity(largest(self.rows, self.vocab)));
        rayon::scope(|_| {
            for tile in tiles(self.rows, self.vocab) {
                let logits = if keep {
                    &mut logits[tile.range()]
                } else {
                    logits.clear();
                    self.append_logits(&mut logits, &tile, &mut decoded);
                    logits.as_mut_slice()
                };
                let (height, columns) = (tile.rows.len(), tile.columns.len());
                logits
                    .par_chunks_mut(ROWS_PER_TASK * columns)
                    .zip(rows[tile.rows.clone()].par_chunks(ROWS_PER_TASK))
                    .zip(grad[tile.rows.clone()].par_chunks(ROWS_PER_TASK))
                    .flat_map_iter(|((logits, rows), grad)| logits.chunks_mut(columns).zip(rows).zip(grad))
                    .for_each(|((logits, row), &grad)| {
                        let Some(by) = self.softcap else {
                            return row.differentiate(logits, tile.columns.start, grad);
                        };
                        if !keep {
                            cap(logits, by);
                        }
                        let capped = logits.to_vec();
                        row.differentiate(logits, tile.columns.start, grad);
                        scale_by_slope(logits, &capped, by);
                    });
                let d_logits = Matrix::new(logits, height, columns);
                if let Some(sum) = &mut d_hidden {
                    let weight = self.weight.get(tile.columns.clone(), &mut decoded);
                    sum.add(
                        self.precision,
                        tile.rows.start * self.width,
                        d_logits,
                        weight,
                        [height, self.width],
                    );
                }
                if let (Some(sum), [_, ..]) = (&mut d_weight, self.weight.replaced) {
                    for (column, place) in self.weight.replaced_in(&tile.columns) {
                        let of_row: Vec<f32> = logits.iter().skip(column).step_by(columns).copied().collect();
                        let of_row = Matrix::new(&of_row, 1, height);
                        sum.add(
                            self.precision,
                            place * self.width,
                            of_row,
                            self.hidden(&tile),
                            [1, self.width],
                        );
                    }
                } else if let Some(sum) = &mut d_weight {
                    let trained = self.weight.trained();
                    let start = tile.columns.start * trained.len();
                    let inputs = &self.hidden[tile.rows.start * self.width + trained.start..];
                    let inputs = Matrix::strided(inputs, height, trained.len(), self.width);
                    sum.add(self.precision, start, d_logits.t(), inputs, [columns, trained.len()]);
                }
            }
        });
    }

    fn append_logits(&self, logits: &mut Vec<f32>, tile: &Tile, decoded: &mut Decoded) {
        let shape = [tile.rows.len(), tile.columns.len()];
        let weight = self.weight.get(tile.columns.clone(), decoded);
        append_product(self.precision, logits, self.hidden(tile), weight.t(), shape);
    }

    fn hidden(&self, tile: &Tile) -> Matrix<'a> {
        let rows = tile.rows.start * self.width..tile.rows.end * self.width;
        Matrix::new(&self.hidden[rows], tile.rows.len(), self.width)
    }
}
