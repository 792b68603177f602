//! Micro-batches of demonstrations, packed into one stream.

use align_data::{RowSource, TokenizedExample};
use align_models::Packed;

/// A micro-batch of demonstrations, packed.
pub struct ExampleBatch {
    /// One sequence per demonstration.
    pub packed: Packed,
    /// The rows' origins: where they were read from.
    pub origins: Vec<String>,
}

impl ExampleBatch {
    /// Packs the examples with the given indices.
    ///
    /// # Errors
    /// Rows that cannot be read from where they are.
    pub fn new(examples: RowSource<'_, TokenizedExample>, indices: &[usize]) -> align_data::Result<Self> {
        let (examples, mut packed) = (examples.pick(indices)?, Packed::default());
        examples.iter().for_each(|example| packed.push_sequence(&example.tokens, &example.mask));
        Ok(Self { packed, origins: examples.iter().map(|example| example.origin.to_string()).collect() })
    }
}
