//! A data set's rows in micro-batches, epoch after epoch.

use align_data::{BatchSize, MicroBatches, Order, SamplingStrategy};
use align_train::{Batches, Cursor, Error, Result};

/// Packing: makes a stage's micro-batch from all rows and the indices of the batch's own.
pub type Pack<'a, T, B> = Box<dyn Fn(&[T], &[usize]) -> B + 'a>;

/// Micro-batches of rows, in the order of [`MicroBatches`], packed by the stage: `pack` gets all rows and the
/// indices of a micro-batch.
pub struct RowBatches<'a, T, B> {
    rows: &'a [T],
    order: MicroBatches,
    pack: Pack<'a, T, B>,
}

impl<'a, T, B> RowBatches<'a, T, B> {
    /// Batches for training; `order` was made for as many rows.
    pub fn new(rows: &'a [T], order: MicroBatches, pack: impl Fn(&[T], &[usize]) -> B + 'a) -> Self {
        Self { rows, order, pack: Box::new(pack) }
    }

    /// Batches of so many rows in their own order: for measuring.
    ///
    /// # Errors
    /// If there are no rows, or `batch_size` is 0.
    pub fn in_order(
        rows: &'a [T],
        batch_size: usize,
        pack: impl Fn(&[T], &[usize]) -> B + 'a,
    ) -> Result<Self> {
        let order = Order { strategy: SamplingStrategy::Sequential, seed: 0 };
        // Lengths matter to token budgets only.
        let order = MicroBatches::new(vec![1; rows.len()], BatchSize::Examples(batch_size), order);
        Ok(Self::new(rows, order.map_err(Error::stage)?, pack))
    }
}

impl<T, B> Batches for RowBatches<'_, T, B> {
    type Batch = B;

    fn next(&mut self) -> Result<Option<B>> {
        Ok(self.order.next_batch().map(|indices| (self.pack)(self.rows, &indices)))
    }

    fn pass(&mut self) -> Result<bool> {
        Ok(self.order.next_batch().is_some())
    }

    fn batches_per_epoch(&mut self) -> Result<usize> {
        Ok(self.order.batches_in_epoch(0))
    }

    fn cursor(&self) -> Cursor {
        serde_json::json!(self.order.cursor())
    }

    fn seek(&mut self, cursor: &Cursor) -> Result<()> {
        let cursor = serde_json::from_value(cursor.clone()).map_err(Error::stage)?;
        self.order.seek(cursor).map_err(Error::stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_go_on_from_a_saved_cursor_and_refuse_a_foreign_one() {
        let rows = [10, 11, 12, 13, 14];
        let batches = || {
            let order = Order { strategy: SamplingStrategy::Random, seed: 3 };
            let order = MicroBatches::new(vec![1; 5], BatchSize::Examples(2), order).unwrap();
            RowBatches::new(&rows, order, |rows, indices| {
                indices.iter().map(|&i| rows[i]).collect::<Vec<_>>()
            })
        };
        let mut whole = batches();
        (0..2).for_each(|_| drop(whole.next().unwrap()));
        let mut resumed = batches();
        resumed.seek(&whole.cursor()).unwrap();
        for _ in 0..6 {
            assert_eq!(resumed.next().unwrap(), whole.next().unwrap());
        }
        assert!(resumed.seek(&serde_json::json!({ "epoch": 0, "position": 99 })).is_err());
        assert!(resumed.seek(&serde_json::json!("elsewhere")).is_err());
    }

    #[test]
    fn measuring_takes_every_row_once_and_in_order() {
        let mut batches =
            RowBatches::in_order(&[5, 6, 7], 2, |rows, indices| (rows[indices[0]], indices.len())).unwrap();
        assert_eq!(batches.next().unwrap(), Some((5, 2)));
        assert_eq!(batches.next().unwrap(), Some((7, 1)));
        assert_eq!(batches.next().unwrap(), None);
    }
}
