//! What the stages share: rows of align-data as batches of align-train, the figures of a finished run, the answers
//! that it changed, and what its answers give away by themselves. Neither of those crates knows the other; a stage knows both, and would otherwise repeat
//! this.

mod answers_only;
mod batches;
mod changed;
mod figures;

pub use answers_only::{Answers, AnswersOnly};
pub use batches::{Pack, RowBatches};
pub use changed::{ChangedAnswer, JudgedChanges};
pub use figures::RunFigures;
