//! The rows of the head's weight that a tile needs.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::Matrix;
use crate::{Blocks, Weight};

/// A weight `[vocab, width]`, of which a tile needs some rows.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    Dense(&'a [f32]),
    Blocks(&'a dyn Blocks),
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
        match weight {
            Weight::Blocks(blocks) => Self::Blocks(&**blocks),
            Weight::Dense(_) => Self::Dense(dense.unwrap_or_default()),
        }
    }

    /// Some rows, each of `width` elements.
    pub(super) fn get<'b>(&self, rows: Range<usize>, width: usize, decoded: &'b mut Decoded) -> Matrix<'b>
    where
        'a: 'b,
    {
        let count = rows.len();
        let values = match self {
            Self::Dense(all) => &all[rows.start * width..rows.end * width],
            Self::Blocks(blocks) => {
                if decoded.rows != rows {
                    decoded.values.resize(count * width, 0.0);
                    let each = decoded.values.par_chunks_mut(width.max(1)).zip(rows.clone());
                    each.for_each(|(to, row)| blocks.decode(row, 0..width, to));
                    decoded.rows = rows;
                }
                decoded.values.as_slice()
            }
        };
        Matrix::new(values, count, width)
    }
}
