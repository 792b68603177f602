//! Rows to micro-batches: so many rows, or as many as fit a token budget.
//!
//! A micro-batch is a list of row indices; whoever holds the rows packs them. Batches never cross the end of
//! an epoch, and the last one of an epoch may be smaller: nothing is dropped and nothing is repeated.

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::order::{Cursor, Order};

/// The size of one micro-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchSize {
    /// So many rows.
    Examples(usize),
    /// As many rows as have at most so many tokens together, but at least one.
    Tokens(usize),
}

/// The micro-batches of all epochs, with a place to return to.
#[derive(Clone, Debug)]
pub struct MicroBatches {
    lengths: Vec<usize>,
    size: BatchSize,
    order: Order,
    cursor: Cursor,
    epoch_order: Vec<usize>,
}

impl MicroBatches {
    /// Micro-batches over rows of the given lengths in tokens, from the start of epoch 0.
    ///
    /// # Errors
    /// No rows, or a batch size of nothing.
    pub fn new(lengths: Vec<usize>, size: BatchSize, order: Order) -> Result<Self> {
        if lengths.is_empty() {
            return Err(DataError::AllRowsDropped { rows: 0, reasons: "there are no rows".to_owned() });
        }
        if matches!(size, BatchSize::Examples(0) | BatchSize::Tokens(0)) {
            return Err(DataError::Option {
                field: "per_device_train_batch_size",
                rule: "must be at least 1".to_owned(),
                value: "0".to_owned(),
            });
        }
        let epoch_order = order.epoch(lengths.len(), 0);
        Ok(Self { lengths, size, order, cursor: Cursor::default(), epoch_order })
    }

    /// The rows of the next micro-batch; `None` once at the end of each epoch, then the next epoch begins.
    pub fn next_batch(&mut self) -> Option<Vec<usize>> {
        let start = self.cursor.position;
        if start == self.lengths.len() {
            self.go_to(Cursor { epoch: self.cursor.epoch + 1, position: 0 });
            return None;
        }
        self.cursor.position = self.end_of_batch(&self.epoch_order, start);
        Some(self.epoch_order[start..self.cursor.position].to_vec())
    }

    /// The place that reading has reached, to be saved with a checkpoint.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Continues from a saved cursor exactly as if reading had never stopped.
    ///
    /// # Errors
    /// A cursor beyond the end of an epoch: the data is not what it was.
    pub fn seek(&mut self, cursor: Cursor) -> Result<()> {
        if cursor.position > self.lengths.len() {
            return Err(DataError::Cursor { position: cursor.position, items: self.lengths.len() });
        }
        self.go_to(cursor);
        Ok(())
    }

    /// Micro-batches in an epoch. With a token budget that can differ between shuffled epochs.
    pub fn batches_in_epoch(&self, epoch: usize) -> usize {
        match self.size {
            BatchSize::Examples(rows) => self.lengths.len().div_ceil(rows),
            BatchSize::Tokens(_) => {
                let order = self.order.epoch(self.lengths.len(), epoch);
                let mut starts = std::iter::successors(Some(0), |&start| {
                    let end = self.end_of_batch(&order, start);
                    (end < order.len()).then_some(end)
                });
                starts.by_ref().count()
            }
        }
    }

    /// Number of rows in an epoch.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    fn end_of_batch(&self, order: &[usize], start: usize) -> usize {
        match self.size {
            BatchSize::Examples(rows) => (start + rows).min(order.len()),
            BatchSize::Tokens(budget) => {
                let mut tokens = 0;
                let fits = |row: &&usize| {
                    tokens += self.lengths[**row];
                    tokens <= budget
                };
                start + order[start..].iter().take_while(fits).count().max(1)
            }
        }
    }

    fn go_to(&mut self, cursor: Cursor) {
        if cursor.epoch != self.cursor.epoch {
            self.epoch_order = self.order.epoch(self.lengths.len(), cursor.epoch);
        }
        self.cursor = cursor;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::order::SamplingStrategy;

    fn batches(lengths: &[usize], size: BatchSize, seed: u64) -> MicroBatches {
        let order = Order { strategy: SamplingStrategy::Random, seed };
        MicroBatches::new(lengths.to_vec(), size, order).unwrap()
    }

    fn sequential(lengths: &[usize], size: BatchSize) -> Vec<Option<Vec<usize>>> {
        let order = Order { strategy: SamplingStrategy::Sequential, seed: 0 };
        let mut batches = MicroBatches::new(lengths.to_vec(), size, order).unwrap();
        (0..5).map(|_| batches.next_batch()).collect()
    }

    #[test]
    fn epochs_end_with_none_and_a_smaller_batch() {
        let got = sequential(&[1; 3], BatchSize::Examples(2));
        assert_eq!(got, [Some(vec![0, 1]), Some(vec![2]), None, Some(vec![0, 1]), Some(vec![2])]);
    }

    #[test]
    fn a_token_budget_is_kept_unless_one_row_exceeds_it() {
        let got = sequential(&[3, 4, 9, 2], BatchSize::Tokens(7));
        assert_eq!(got[..4], [Some(vec![0, 1]), Some(vec![2]), Some(vec![3]), None]);
    }

    #[test]
    fn a_cursor_from_other_data_is_rejected() {
        let error =
            batches(&[1; 3], BatchSize::Examples(1), 0).seek(Cursor { epoch: 0, position: 4 }).unwrap_err();
        assert!(error.to_string().contains("stands at row 4 of an epoch, but there are only 3 rows"));
    }

    fn size() -> impl Strategy<Value = BatchSize> {
        prop_oneof![(1..6usize).prop_map(BatchSize::Examples), (1..30usize).prop_map(BatchSize::Tokens)]
    }

    proptest! {
        #[test]
        fn an_epoch_visits_every_row_once(
            lengths in proptest::collection::vec(1..20usize, 1..30), size in size(), seed: u64, epoch in 0..3usize,
        ) {
            let mut batches = batches(&lengths, size, seed);
            batches.seek(Cursor { epoch, position: 0 }).unwrap();
            let visited: Vec<_> = std::iter::from_fn(|| batches.next_batch()).collect();
            prop_assert_eq!(visited.len(), batches.batches_in_epoch(epoch));
            let mut rows: Vec<_> = visited.concat();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..lengths.len()).collect::<Vec<_>>());
        }

        #[test]
        fn a_resumed_run_skips_and_repeats_nothing(
            lengths in proptest::collection::vec(1..20usize, 1..30), size in size(), seed: u64, stop in 0..80usize,
        ) {
            let mut whole = batches(&lengths, size, seed);
            for _ in 0..stop {
                whole.next_batch();
            }
            let saved = serde_json::to_string(&whole.cursor()).unwrap();
            let mut resumed = batches(&lengths, size, seed);
            resumed.seek(serde_json::from_str(&saved).unwrap()).unwrap();
            for _ in 0..80 {
                prop_assert_eq!(resumed.next_batch(), whole.next_batch());
                prop_assert_eq!(resumed.cursor(), whole.cursor());
            }
        }
    }
}
