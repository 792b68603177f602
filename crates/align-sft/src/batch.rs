//! Micro-batches of demonstrations, packed into one stream.

use align_data::TokenizedExample;
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
    pub fn new(examples: &[TokenizedExample], indices: &[usize]) -> Self {
        let mut packed = Packed::default();
        indices
            .iter()
            .for_each(|&index| packed.push_sequence(&examples[index].tokens, &examples[index].mask));
        Self { packed, origins: indices.iter().map(|&index| examples[index].origin.to_string()).collect() }
    }
}
