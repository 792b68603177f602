//! Rows to micro-batches: so many rows, as many as fit a token budget, or bins that rows were packed into.
//!
//! A micro-batch is a list of row indices; whoever holds the rows packs them. Batches never cross the end of
//! an epoch, and the last one of an epoch may be smaller: nothing is dropped and nothing is repeated.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::lengths::{best_fit_decreasing, grouped_by_length};
use crate::order::{Cursor, Order, SamplingStrategy};

/// The size of one micro-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchSize {
    /// So many rows.
    Examples(usize),
    /// As many rows as have at most so many tokens together, but at least one.
    Tokens(usize),
    /// So many bins, each with rows of at most so many tokens together: best-fit-decreasing packing, made anew for
    /// every epoch. A longer row has a bin of its own.
    Bins {
        /// The bins of a micro-batch.
        bins: usize,
        /// The tokens of a bin.
        tokens: usize,
    },
}

/// The micro-batches of all epochs, with a place to return to.
#[derive(Clone, Debug)]
pub struct MicroBatches {
    lengths: Vec<usize>,
    size: BatchSize,
    order: Order,
    /// Rows of an update, which decide how many are grouped by length.
    update: usize,
    cursor: Cursor,
    epoch: Epoch,
}

impl BatchSize {
    /// How many rows, tokens or bins.
    fn count(self) -> usize {
        let (Self::Examples(count) | Self::Tokens(count) | Self::Bins { bins: count, .. }) = self;
        count
    }
}

/// One epoch, laid out.
#[derive(Clone, Debug)]
struct Epoch {
    /// The rows in their order.
    rows: Vec<usize>,
    /// Where in it each micro-batch ends.
    ends: Vec<usize>,
    /// Bins that rows were packed into; 0 without packing.
    bins: usize,
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
        let count = size.count();
        if count == 0 {
            return Err(DataError::Option {
                field: "per_device_train_batch_size",
                rule: "must be at least 1".to_owned(),
                value: "0".to_owned(),
            });
        }
        let epoch = Epoch { rows: Vec::new(), ends: Vec::new(), bins: 0 };
        let mut batches = Self { lengths, size, order, update: count, cursor: Cursor::default(), epoch };
        batches.epoch = batches.laid_out(0);
        Ok(batches)
    }

    /// The same where an update takes so many micro-batches: rows are grouped by length over some fifty updates.
    #[must_use]
    pub fn with_accumulation(mut self, steps: usize) -> Self {
        self.update = self.size.count().saturating_mul(steps.max(1));
        if self.order.strategy == SamplingStrategy::GroupByLength {
            self.epoch = self.laid_out(self.cursor.epoch);
        }
        self
    }

    /// The rows of the next micro-batch; `None` once at the end of each epoch, then the next epoch begins.
    pub fn next_batch(&mut self) -> Option<Vec<usize>> {
        let start = self.cursor.position;
        let batch = self.epoch.ends.partition_point(|&end| end <= start);
        let Some(&end) = self.epoch.ends.get(batch) else {
            self.go_to(Cursor { epoch: self.cursor.epoch + 1, position: 0 });
            return None;
        };
        self.cursor.position = end;
        Some(self.epoch.rows[start..end].to_vec())
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
            // Best fit asks how long rows are, not which: every epoch has as many bins.
            BatchSize::Bins { bins, .. } => self.epoch.bins.div_ceil(bins),
            BatchSize::Tokens(_) => self.laid_out(epoch).ends.len(),
        }
    }

    /// Number of rows in an epoch.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// How full the bins are that rows are packed into; none without packing.
    pub fn packing(&self) -> Option<Packing> {
        let BatchSize::Bins { tokens: bin_tokens, .. } = self.size else { return None };
        let (rows, bins) = (self.lengths.len(), self.epoch.bins);
        Some(Packing { rows, bins, bin_tokens, tokens: self.lengths.iter().sum() })
    }

    fn go_to(&mut self, cursor: Cursor) {
        if cursor.epoch != self.cursor.epoch {
            self.epoch = self.laid_out(cursor.epoch);
        }
        self.cursor = cursor;
    }

    fn laid_out(&self, epoch: usize) -> Epoch {
        let mut rows = self.order.epoch(self.lengths.len(), epoch);
        if self.order.strategy == SamplingStrategy::GroupByLength {
            rows = grouped_by_length(rows, &self.lengths, self.update);
        }
        match self.size {
            BatchSize::Examples(count) => {
                let ends = (1..=rows.len().div_ceil(count)).map(|batch| (batch * count).min(rows.len()));
                Epoch { ends: ends.collect(), rows, bins: 0 }
            }
            BatchSize::Tokens(budget) => Epoch { ends: self.within(budget, &rows), rows, bins: 0 },
            BatchSize::Bins { bins: count, tokens } => {
                let mut bins = best_fit_decreasing(&rows, &self.lengths, tokens);
                self.order.shuffle(&mut bins, epoch, BINS);
                let mut end = 0;
                let sizes = bins.chunks(count).map(|batch| batch.iter().map(Vec::len).sum::<usize>());
                let ends = sizes.map(|size| {
                    end += size;
                    end
                });
                Epoch { ends: ends.collect(), bins: bins.len(), rows: bins.concat() }
            }
        }
    }

    /// The ends of micro-batches of at most so many tokens.
    fn within(&self, budget: usize, rows: &[usize]) -> Vec<usize> {
        let (mut ends, mut tokens) = (Vec::new(), 0);
        for (at, &row) in rows.iter().enumerate() {
            if at > 0 && tokens + self.lengths[row] > budget {
                ends.push(at);
                tokens = 0;
            }
            tokens += self.lengths[row];
        }
        ends.push(rows.len());
        ends
    }
}

/// The stream of the order of bins, beside that of rows.
const BINS: u64 = 1;

/// How full the bins are that rows are packed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Packing {
    /// Rows of an epoch.
    pub rows: usize,
    /// Bins that they are packed into.
    pub bins: usize,
    /// Tokens that a bin has room for.
    pub bin_tokens: usize,
    /// Tokens of all rows.
    pub tokens: usize,
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, bins, bin_tokens, tokens } = *self;
        let full = 100.0 * tokens as f64 / (bins as f64 * bin_tokens as f64);
        let each = rows as f64 / bins as f64;
        write!(f, "{rows} rows in {bins} bins of {bin_tokens} tokens, {each:.1} rows each, {full:.1} % full")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::order::SamplingStrategy;

    fn batches(lengths: &[usize], size: BatchSize, seed: u64) -> MicroBatches {
        let strategy =
            if seed.is_multiple_of(2) { SamplingStrategy::Random } else { SamplingStrategy::GroupByLength };
        MicroBatches::new(lengths.to_vec(), size, Order { strategy, seed }).unwrap()
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

    #[test]
    fn a_micro_batch_of_bins_has_rows_that_fill_them() {
        let got = sequential(&[3, 5, 2, 7, 1], BatchSize::Bins { bins: 2, tokens: 8 });
        // Bins by size: [7, 1], [5, 3], [2].
        assert_eq!(got[..3], [Some(vec![3, 4, 1, 0]), Some(vec![2]), None]);
        let order = Order { strategy: SamplingStrategy::Sequential, seed: 0 };
        let size = BatchSize::Bins { bins: 1, tokens: 8 };
        let packing = MicroBatches::new(vec![3, 5, 2, 7, 1], size, order).unwrap().packing().unwrap();
        assert_eq!(packing.to_string(), "5 rows in 3 bins of 8 tokens, 1.7 rows each, 75.0 % full");
    }

    #[test]
    fn rows_of_like_length_stand_together_and_the_longest_first() {
        let lengths: Vec<usize> = (1..=64).collect();
        let order = Order { strategy: SamplingStrategy::GroupByLength, seed: 5 };
        let batches = MicroBatches::new(lengths.clone(), BatchSize::Examples(2), order).unwrap();
        let mut batches = batches.with_accumulation(2);
        let first = batches.next_batch().unwrap();
        assert_eq!(lengths[first[0]], 64);
        // Four groups of sixteen rows (four updates of four), each from long to short but for the row that changed places.
        let rest = std::iter::from_fn(|| batches.next_batch()).flatten();
        let shown: Vec<usize> = first.into_iter().chain(rest).map(|row| lengths[row]).collect();
        assert!(shown.chunks(16).all(|group| group[1..].is_sorted_by(|a, b| a > b)), "{shown:?}");
        assert!(!shown[1..].is_sorted_by(|a, b| a > b));
    }

    fn size() -> impl Strategy<Value = BatchSize> {
        prop_oneof![
            (1..6usize).prop_map(BatchSize::Examples),
            (1..30usize).prop_map(BatchSize::Tokens),
            (1..4usize, 1..30usize).prop_map(|(bins, tokens)| BatchSize::Bins { bins, tokens }),
        ]
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
            if let BatchSize::Bins { bins, tokens } = size {
                let of = |batch: &Vec<usize>| batch.iter().map(|&row| lengths[row]).sum::<usize>();
                prop_assert!(visited.iter().all(|batch| of(batch) <= bins * tokens.max(20)));
            }
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
