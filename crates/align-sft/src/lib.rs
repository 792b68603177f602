#![doc = include_str!("../README.md")]

mod batch;
mod evaluation;
mod job;
mod objective;
mod options;
mod report;

pub use batch::ExampleBatch;
pub use evaluation::HeldOut;
pub use job::{Job, Parts, StartOptions, train};
pub use objective::Supervised;
pub use options::{LossType, SftOptions};
pub use report::Report;

/// TRL's default for SFT.
pub const DEFAULT_LEARNING_RATE: f64 = 2e-5;
