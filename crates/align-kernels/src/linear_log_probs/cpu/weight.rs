//! The rows of the head's weight that a tile needs, and columns beside them.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::Matrix;
use crate::{Blocks, Numbers, Weight};

/// A weight `[vocab, width]`, of which a tile needs some rows.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    Dense(&'a [f32]),
    Blocks(&'a dyn Blocks),
}

/// All that a head multiplies with: its weight, perhaps columns `[vocab, more]` beside it, or rows in the place of its own.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    weight: Rows<'a>,
    width: usize,
    beside: &'a [f32],
    more: usize,
    /// The rows' ids in order, each with its row of the values.
    pub(super) replaced: &'a [(usize, usize)],
    values: &'a [f32],
}

/// Rows that were decoded last. Tiles of the same columns follow one another.
#[derive(Default)]
pub(super) struct Decoded {
    rows: Range<usize>,
    values: Vec<f32>,
}

impl<'a> Rows<'a> {
    /// Those of a weight, whose elements are in `dense` if it is there as numbers.
    pub(super) fn of(weight: &'a Weight, dense: Option<&'a [f32]>) -> Self {
        match weight.numbers() {
            Numbers::Blocks(blocks) => Self::Blocks(&**blocks),
            Numbers::Dense(_) => Self::Dense(dense.unwrap_or_default()),
        }
    }

    /// A row of `width` elements.
    fn copy(&self, row: usize, width: usize, to: &mut [f32]) {
        match self {
            Self::Dense(all) => to.copy_from_slice(&all[row * width..][..width]),
            Self::Blocks(blocks) => blocks.decode(row, 0..width, to),
        }
    }
}

impl<'a> Columns<'a> {
    /// A weight `[vocab, width]`, and as many columns beside it as there are elements for.
    pub(super) fn new(weight: Rows<'a>, [vocab, width]: [usize; 2], beside: &'a [f32]) -> Self {
        Self { weight, width, beside, more: beside.len() / vocab.max(1), replaced: &[], values: &[] }
    }

    /// The same with rows of `values` in the place of some of the weight's: ids in order, each with the number of its row.
    pub(super) fn with_rows(self, replaced: &'a [(usize, usize)], values: &'a [f32]) -> Self {
        Self { replaced, values, ..self }
    }

    /// Of the rows that are replaced those in a range, as places in it with the numbers of their values.
    pub(super) fn replaced_in(&self, rows: &Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        let from = self.replaced.partition_point(|(id, _)| *id < rows.start);
        let to = self.replaced.partition_point(|(id, _)| *id < rows.end);
        let first = rows.start;
        self.replaced[from..to].iter().map(move |(id, place)| (id - first, *place))
    }

    /// All columns.
    pub(super) fn count(&self) -> usize {
        self.width + self.more
    }

    /// Those that a gradient is for: of what has columns beside it, these alone.
    pub(super) fn trained(&self) -> Range<usize> {
        if self.more > 0 { self.width..self.count() } else { 0..self.width }
    }

    /// Some rows.
    pub(super) fn get<'b>(&self, rows: Range<usize>, decoded: &'b mut Decoded) -> Matrix<'b>
    where
        'a: 'b,
    {
        let (count, columns) = (rows.len(), self.count());
        let values = match (self.weight, self.more, self.replaced) {
            (Rows::Dense(all), 0, []) => &all[rows.start * columns..rows.end * columns],
            _ => {
                if decoded.rows != rows {
                    decoded.values.resize(count * columns, 0.0);
                    let each = decoded.values.par_chunks_mut(columns.max(1)).zip(rows.clone());
                    each.for_each(|(to, row)| {
                        let (own, beside) = to.split_at_mut(self.width);
                        self.weight.copy(row, self.width, own);
                        beside.copy_from_slice(&self.beside[row * self.more..][..self.more]);
                    });
                    for (row, place) in self.replaced_in(&rows) {
                        let own = &self.values[place * columns..][..columns];
                        decoded.values[row * columns..][..columns].copy_from_slice(own);
                    }
                    decoded.rows = rows;
                }
                decoded.values.as_slice()
            }
        };
        Matrix::new(values, count, columns)
    }
}
