//! The supervised objective: the mean negative log-likelihood of the labelled tokens.

mod batch;
mod evaluation;
mod objective;

pub use batch::{ExampleBatch, ExampleBatches};
pub use evaluation::HeldOut;
pub use objective::Supervised;

/// TRL's default for SFT.
pub const DEFAULT_LEARNING_RATE: f64 = 2e-5;
