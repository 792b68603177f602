//! Which rows of the cache are free.

use std::ops::Range;

/// Free ranges in order, no two of them touching.
#[derive(Debug)]
pub(super) struct Rows(Vec<Range<usize>>);

impl Rows {
    /// `capacity` rows, all free.
    pub(super) fn new(capacity: usize) -> Self {
        Self(std::iter::once(0..capacity).collect())
    }

    /// `count` rows in a row: the first that fit. What is given back joins its neighbours, so that any
    /// request up to the capacity fits at the latest when all is free again.
    pub(super) fn take(&mut self, count: usize) -> Option<Range<usize>> {
        let index = self.0.iter().position(|free| free.len() >= count)?;
        let free = &mut self.0[index];
        let taken = free.start..free.start + count;
        free.start = taken.end;
        if free.start == free.end {
            self.0.remove(index);
        }
        Some(taken)
    }

    /// Takes back what [`Rows::take`] gave.
    pub(super) fn give_back(&mut self, mut rows: Range<usize>) {
        let index = self.0.partition_point(|free| free.start < rows.start);
        if self.0.get(index).is_some_and(|next| next.start == rows.end) {
            rows.end = self.0.remove(index).end;
        }
        match index.checked_sub(1).map(|before| &mut self.0[before]) {
            Some(before) if before.end == rows.start => before.end = rows.end,
            _ => self.0.insert(index, rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_given_once_and_join_when_they_come_back() {
        let mut rows = Rows::new(10);
        let taken: Vec<_> = [3, 4, 3].into_iter().map(|count| rows.take(count).unwrap()).collect();
        assert_eq!(taken, [0..3, 3..7, 7..10]);
        assert_eq!(rows.take(1), None);
        rows.give_back(0..3);
        rows.give_back(7..10);
        assert_eq!(rows.take(4), None, "six rows are free, but not in a row");
        rows.give_back(3..7);
        assert_eq!(rows.take(10), Some(0..10));
    }

    #[test]
    fn the_first_gap_that_fits_is_taken() {
        let mut rows = Rows::new(9);
        [2, 1, 3, 1].into_iter().for_each(|count| assert!(rows.take(count).is_some()));
        rows.give_back(0..2);
        rows.give_back(3..6);
        assert_eq!(rows.take(3), Some(3..6));
        assert_eq!(rows.take(1), Some(0..1));
        assert_eq!(rows.take(2), Some(7..9));
        assert_eq!(rows.take(1), Some(1..2));
    }
}
