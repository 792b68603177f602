//! How a segment's attention is cut: tiles of query rows, blocks of keys, and pieces of a block that
//! lie together in memory and are seen from the same row on.

use std::ops::Range;

use super::super::Segment;

/// Query rows of a tile; the rows of scratch matrices are the tile's columns, this many apart.
pub(super) const ROWS: usize = 32;

/// Rows handled as one vector: two AVX2 registers. Tiles are padded to it with rows that nobody reads.
pub(super) const LANES: usize = 16;

/// Keys whose scores exist at a time: 64 KiB for a tile.
pub(super) const KEYS: usize = 512;

/// A segment's keys, ranges that touch made one.
pub(super) fn context(segment: &Segment) -> Vec<Range<usize>> {
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(segment.keys.len());
    for range in &segment.keys {
        match merged.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => merged.push(range.clone()),
        }
    }
    merged
}

/// Some query rows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    /// The first, a row of the query tensor.
    pub(super) query: usize,
    /// How many: at most [`ROWS`].
    pub(super) rows: usize,
    /// Where in the context the first row's own key is: row `i` sees the keys `0 ..= own + i`.
    pub(super) own: usize,
}

impl Tile {
    /// The tiles of a segment, in order.
    pub(super) fn of(segment: &Segment) -> impl Iterator<Item = Self> {
        let (queries, before) = (segment.queries.clone(), segment.context() - segment.queries.len());
        (0..queries.len()).step_by(ROWS).map(move |first| Self {
            query: queries.start + first,
            rows: ROWS.min(queries.len() - first),
            own: before + first,
        })
    }

    /// Rows with padding.
    pub(super) fn padded(&self) -> usize {
        self.rows.next_multiple_of(LANES)
    }

    /// The part of the context that a row of the tile sees, in blocks.
    pub(super) fn blocks(&self, window: usize) -> impl Iterator<Item = Range<usize>> {
        let (first, end) = ((self.own + 1).saturating_sub(window), self.own + self.rows);
        (first..end).step_by(KEYS).map(move |start| start..end.min(start + KEYS))
    }

    /// Which rows see key `key` of the context.
    pub(super) fn seeing(&self, key: usize, window: usize) -> Range<usize> {
        let end = key.saturating_add(window).saturating_sub(self.own).min(self.padded());
        key.saturating_sub(self.own).min(end)..end
    }
}

/// Keys of a block that are neighbours in memory and that no row before `first_row` sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The first, a row of the key tensor.
    pub(super) key: usize,
    /// The first, counted from the start of the block.
    pub(super) line: usize,
    pub(super) len: usize,
    /// A multiple of [`LANES`].
    pub(super) first_row: usize,
}

/// Cuts a block of the context; `first_row` does not decrease from piece to piece.
pub(super) fn pieces(context: &[Range<usize>], block: &Range<usize>, own: usize) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(context.len() + ROWS / LANES);
    let mut start = 0;
    for range in context {
        let end = start + range.len();
        let mut at = block.start.max(start);
        while at < block.end.min(end) {
            let first_row = at.saturating_sub(own) / LANES * LANES;
            let stop = block.end.min(end).min(own + first_row + LANES);
            pieces.push(Piece {
                key: range.start + (at - start),
                line: at - block.start,
                len: stop - at,
                first_row,
            });
            at = stop;
        }
        start = end;
    }
    pieces
}

/// How many lines of a block the rows from `row` (a multiple of [`LANES`]) on see any of.
pub(super) fn lines_seen(pieces: &[Piece], row: usize) -> usize {
    pieces.iter().take_while(|piece| piece.first_row <= row).map(|piece| piece.len).sum()
}

/// Writes −∞ over the scores that a row must not see.
pub(super) fn hide(scores: &mut [f32], pieces: &[Piece], block: &Range<usize>, tile: &Tile, window: usize) {
    for piece in pieces {
        for line in piece.line..piece.line + piece.len {
            let seeing = tile.seeing(block.start + line, window);
            let row = &mut scores[line * ROWS..][..tile.padded()];
            row[..seeing.start].fill(f32::NEG_INFINITY);
            row[seeing.end..].fill(f32::NEG_INFINITY);
        }
    }
}

/// Rows of one head as columns: `out[d, r] = factor · rows[r][d]`, zero in the padding.
pub(super) fn load_columns<'a>(
    out: &mut [f32],
    rows: impl Iterator<Item = &'a [f32]>,
    padded: usize,
    factor: f32,
) {
    let mut count = 0;
    for (r, row) in rows.enumerate() {
        for (line, x) in out.chunks_exact_mut(ROWS).zip(row) {
            line[r] = factor * x;
        }
        count = r + 1;
    }
    for line in out.chunks_exact_mut(ROWS) {
        line[count..padded].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_the_rows_and_pieces_the_keys() {
        let segment = Segment { queries: 7..77, keys: vec![0..5, 5..9, 40..110] };
        assert_eq!(context(&segment), [0..9, 40..110]);
        let tiles: Vec<_> = Tile::of(&segment).collect();
        assert_eq!(tiles[2], Tile { query: 71, rows: 6, own: 73 });
        assert_eq!(tiles.iter().map(|tile| tile.rows).sum::<usize>(), 70);

        let block = tiles[0].blocks(usize::MAX).next().unwrap();
        assert_eq!(block, 0..41);
        let found = pieces(&context(&segment), &block, tiles[0].own);
        assert_eq!(
            found,
            [
                Piece { key: 0, line: 0, len: 9, first_row: 0 },
                Piece { key: 40, line: 9, len: 16, first_row: 0 },
                Piece { key: 56, line: 25, len: 16, first_row: 16 },
            ]
        );
        assert_eq!((lines_seen(&found, 0), lines_seen(&found, 16)), (25, 41));
    }

    #[test]
    fn a_long_context_is_cut_into_blocks_and_a_window_drops_its_start() {
        let tile = Tile { query: 0, rows: 3, own: 2 * KEYS };
        assert_eq!(tile.blocks(usize::MAX).count(), 3);
        assert!(tile.blocks(4).eq(std::iter::once(2 * KEYS - 3..2 * KEYS + 3)));
        assert_eq!(tile.seeing(2 * KEYS + 1, 4), 1..5);
        assert_eq!(tile.seeing(2 * KEYS - 3, 4), 0..1);
        assert_eq!(tile.seeing(0, usize::MAX), 0..LANES);
    }
}
