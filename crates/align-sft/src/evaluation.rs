//! The objective on held-out demonstrations.

use align_data::TokenizedExample;
use align_stage::RowBatches;
use align_train::{Evaluate, Metrics, Ranks, Result, Stop, evaluate};

use crate::{ExampleBatch, Supervised};

/// Held-out demonstrations and the objective over a view of the policy.
pub struct HeldOut<'a> {
    examples: &'a [TokenizedExample],
    objective: Supervised,
    batch_size: usize,
    ranks: Ranks,
}

impl<'a> HeldOut<'a> {
    /// The held-out rows with the objective that they are measured by, and the ranks that share them; none if there are no rows.
    pub fn new(
        examples: &'a [TokenizedExample],
        objective: Supervised,
        batch_size: usize,
        ranks: Ranks,
    ) -> Option<Self> {
        (!examples.is_empty()).then_some(Self { examples, objective, batch_size, ranks })
    }
}

impl HeldOut<'_> {
    fn measured(&self, examples: &[TokenizedExample], stop: &Stop) -> Result<Metrics> {
        let mut batches = RowBatches::in_order(examples, self.batch_size, ExampleBatch::new)?;
        evaluate(&self.objective, &mut batches, &self.ranks, stop)
    }
}

impl Evaluate for HeldOut<'_> {
    fn evaluate(&mut self, _step: usize, stop: &Stop) -> Result<Metrics> {
        self.measured(self.examples, stop)
    }

    fn sample(&mut self, stop: &Stop) -> Result<Metrics> {
        self.measured(&self.examples[..self.batch_size.min(self.examples.len())], stop)
    }
}
