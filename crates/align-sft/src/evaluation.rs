//! The objective on held-out demonstrations.

use align_data::{BatchSize, MicroBatches, Order, SamplingStrategy, TokenizedExample};
use align_train::{Error, Evaluate, Metrics, Result, evaluate};

use crate::{ExampleBatches, Supervised};

/// Held-out demonstrations and the objective over a view of the policy.
pub struct HeldOut<'a> {
    examples: &'a [TokenizedExample],
    objective: Supervised,
    batch_size: usize,
}

impl<'a> HeldOut<'a> {
    /// None if there is nothing to measure on.
    pub fn new(examples: &'a [TokenizedExample], objective: Supervised, batch_size: usize) -> Option<Self> {
        (!examples.is_empty()).then_some(Self { examples, objective, batch_size })
    }
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
