//! Micro-batches of demonstrations, packed into one stream.

use align_data::{MicroBatches, TokenizedExample};
use align_models::Packed;
use align_train::{Batches, Cursor, Error, Result};

/// Some demonstrations of a data set, packed.
pub struct ExampleBatch {
    /// One sequence per demonstration.
    pub packed: Packed,
    /// Where they were read from.
    pub origins: Vec<String>,
}

impl ExampleBatch {
    /// Packs the examples with the given indices.
    pub fn new(examples: &[TokenizedExample], indices: &[usize]) -> Self {
        let mut packed = Packed::default();
        indices
            .iter()
            .for_each(|&index| packed.push_sequence(&examples[index].tokens, &examples[index].mask));
        Self { packed, origins: indices.iter().map(|&index| examples[index].origin.to_string()).collect() }
    }
}

/// A data set of demonstrations in micro-batches, epoch after epoch.
pub struct ExampleBatches<'a> {
    examples: &'a [TokenizedExample],
    order: MicroBatches,
}

impl<'a> ExampleBatches<'a> {
    /// The examples in the order and sizes of `order`, which was made for as many rows.
    pub fn new(examples: &'a [TokenizedExample], order: MicroBatches) -> Self {
        Self { examples, order }
    }
}

impl Batches for ExampleBatches<'_> {
    type Batch = ExampleBatch;

    fn next(&mut self) -> Result<Option<ExampleBatch>> {
        Ok(self.order.next_batch().map(|indices| ExampleBatch::new(self.examples, &indices)))
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
