//! What the stages share: rows of align-data as batches of align-train, the figures of a finished run, and the answers
//! that it changed. Neither of those crates knows the other; a stage knows both, and would otherwise repeat
//! this.

mod batches;
mod changed;
mod figures;

pub use batches::{Pack, RowBatches};
pub use changed::ChangedAnswer;
pub use figures::RunFigures;
