//! A data set's rows in micro-batches, epoch after epoch.

use align_data::{BatchSize, MicroBatches, Order, RowSource, SamplingStrategy};
use align_train::{Batches, Cursor, Error, Result};

/// Packing: makes a stage's micro-batch of the rows with some numbers.
pub type Pack<'a, T, B> = Box<dyn Fn(RowSource<'_, T>, &[usize]) -> align_data::Result<B> + 'a>;

/// A micro-batch from the numbers of its rows.
type OfNumbers<'a, B> = Box<dyn Fn(&[usize]) -> align_data::Result<B> + 'a>;

/// Micro-batches of rows, in the order of [`MicroBatches`], packed by the stage.
pub struct RowBatches<'a, B> {
    order: MicroBatches,
    batch: OfNumbers<'a, B>,
}

impl<'a, B> RowBatches<'a, B> {
    /// Batches for training; `order` was made for as many rows. `pack` gets all rows, and the numbers of a micro-batch's.
    pub fn new<T>(
        rows: impl Into<RowSource<'a, T>>,
        order: MicroBatches,
        pack: impl Fn(RowSource<'_, T>, &[usize]) -> align_data::Result<B> + 'a,
    ) -> Self
    where
        T: 'a,
    {
        let rows: RowSource<'a, T> = rows.into();
        Self { order, batch: Box::new(move |numbers| pack(rows, numbers)) }
    }

    /// Batches of so many rows in their own order: for measuring.
    ///
    /// # Errors
    /// If there are no rows, or `batch_size` is 0.
    pub fn in_order<T>(
        rows: &'a [T],
        batch_size: usize,
        pack: impl Fn(RowSource<'_, T>, &[usize]) -> align_data::Result<B> + 'a,
    ) -> Result<Self> {
        let order = Order { strategy: SamplingStrategy::Sequential, seed: 0 };
        // Lengths matter to token budgets only.
        let order = MicroBatches::new(vec![1; rows.len()], BatchSize::Examples(batch_size), order);
        Ok(Self::new(rows, order.map_err(Error::stage)?, pack))
    }
}

impl<B> Batches for RowBatches<'_, B> {
    type Batch = B;

    fn next(&mut self) -> Result<Option<B>> {
        let batch = self.order.next_batch().map(|numbers| (self.batch)(&numbers));
        batch.transpose().map_err(Error::stage)
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
    use align_data::{Origin, Rows, TokenizedExample};

    use super::*;

    fn rows(count: usize) -> Vec<TokenizedExample> {
        let row = |row: usize| TokenizedExample {
            tokens: vec![row as u32],
            mask: vec![true],
            row,
            origin: Origin::in_code(row),
        };
        (0..count).map(row).collect()
    }

    fn pack(rows: RowSource<'_, TokenizedExample>, numbers: &[usize]) -> align_data::Result<Vec<usize>> {
        Ok(rows.pick(numbers)?.iter().map(|row| row.row).collect())
    }

    #[test]
    fn batches_go_on_from_a_saved_cursor_and_refuse_a_foreign_one() {
        let rows: Rows<_> = rows(5).into();
        let batches = || {
            let order = Order { strategy: SamplingStrategy::Random, seed: 3 };
            let order = MicroBatches::new(vec![1; 5], BatchSize::Examples(2), order).unwrap();
            RowBatches::new(&rows, order, pack)
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
        let rows = rows(3);
        let mut batches = RowBatches::in_order(&rows, 2, pack).unwrap();
        assert_eq!(batches.next().unwrap(), Some(vec![0, 1]));
        assert_eq!(batches.next().unwrap(), Some(vec![2]));
        assert_eq!(batches.next().unwrap(), None);
    }
}
