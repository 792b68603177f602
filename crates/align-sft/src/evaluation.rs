//! The objective on held-out demonstrations.

use align_data::{BatchSize, MicroBatches, Order, SamplingStrategy, TokenizedExample};
use align_train::{Error, Evaluate, Metrics, Result, evaluate};

use crate::{ExampleBatches, Supervised};

/// Held-out demonstrations and the objective over a view of the policy.
pub struct HeldOut<'a> {
    /// The demonstrations.
    pub examples: &'a [TokenizedExample],
    /// The objective over a view of the policy.
    pub objective: Supervised,
    /// Demonstrations per pass.
    pub batch_size: usize,
}

impl Evaluate for HeldOut<'_> {
    fn evaluate(&mut self, _step: usize) -> Result<Metrics> {
        let lengths = self.examples.iter().map(|example| example.tokens.len()).collect();
        let order = Order { strategy: SamplingStrategy::Sequential, seed: 0 };
        let order =
            MicroBatches::new(lengths, BatchSize::Examples(self.batch_size), order).map_err(Error::stage)?;
        evaluate(&self.objective, &mut ExampleBatches::new(self.examples, order))
    }
}
