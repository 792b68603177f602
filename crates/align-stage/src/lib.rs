//! What the offline stages share: rows of align-data as batches of align-train, and the figures of a
//! finished run. Neither of those crates knows the other; a stage knows both, and would otherwise repeat
//! this.

mod batches;
mod figures;

pub use batches::{Pack, RowBatches};
pub use figures::RunFigures;
