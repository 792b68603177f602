//! The supervised objective: the mean negative log-likelihood of the labelled tokens.

mod batch;
mod evaluation;
mod objective;
mod report;

pub use batch::ExampleBatch;
pub use evaluation::HeldOut;
pub use objective::Supervised;
pub use report::Report;

/// TRL's default for SFT.
pub const DEFAULT_LEARNING_RATE: f64 = 2e-5;
