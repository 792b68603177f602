//! How the logits are cut so that a piece of them stays in the cache.
//!
//! A tile is a block of rows by a block of the vocabulary. Its size depends on the shapes alone, never on
//! the number of threads.

use std::ops::Range;

/// Rows of a tile: the inner dimension of the weight gradient's matrix product, which is slow below
/// some hundreds.
const ROWS: usize = 512;

/// Elements of a tile, 4 MiB: a share of the last-level cache, yet enough that threads rarely meet.
const ELEMENTS: usize = 1 << 20;

/// A rectangle of the logits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) rows: Range<usize>,
    /// Tokens of the vocabulary.
    pub(super) columns: Range<usize>,
    /// Where the tile starts if all tiles are stored one after the other.
    pub(super) offset: usize,
}

impl Tile {
    /// Number of logits.
    pub(super) fn len(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Where the tile is if all are stored one after the other.
    pub(super) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// The tiles of `[rows, vocab]`: all blocks of rows of the first columns, then of the next.
pub(super) fn tiles(rows: usize, vocab: usize) -> impl Iterator<Item = Tile> {
    let height = rows.clamp(1, ROWS);
    let width = (ELEMENTS / height).next_multiple_of(16);
    (0..vocab).step_by(width).flat_map(move |column| {
        let columns = column..vocab.min(column + width);
        (0..rows).step_by(height).map(move |row| Tile {
            rows: row..rows.min(row + height),
            columns: columns.clone(),
            offset: columns.start * rows + row * columns.len(),
        })
    })
}

/// Elements of the largest tile.
pub(super) fn largest(rows: usize, vocab: usize) -> usize {
    tiles(rows, vocab).next().map_or(0, |tile| tile.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_follow_one_another_and_cover_everything() {
        for (rows, vocab) in [(1, 1), (1, 32_000), (511, 7), (513, 5000), (1500, 32_001)] {
            let mut next = 0;
            let mut covered = 0;
            for tile in tiles(rows, vocab) {
                assert_eq!(tile.offset, next);
                assert!(tile.len() <= largest(rows, vocab) && tile.len() <= 2 * ELEMENTS);
                assert!(tile.rows.end <= rows && tile.columns.end <= vocab);
                next = tile.range().end;
                covered += tile.len();
            }
            assert_eq!(covered, rows * vocab);
        }
    }
}
