//! Offline preference objectives: from tokenized pairs to a loss that the engine minimises.
//!
//! Read [`Preference`] first: a batch of pairs goes through the policy once, prompts shared, and through
//! the reference (live, or its log-probs read from a cache), and a function of `align-losses` turns the two
//! into a loss per pair. A method is one variant of [`Method`] that names its function.

mod batch;
mod displacement;
mod evaluation;
mod method;
mod objective;
mod options;
mod reference;
mod report;

pub use batch::PairBatch;
pub use evaluation::{HeldOut, Look};
pub use method::Method;
pub use objective::Preference;
pub use options::{DEFAULT_LEARNING_RATE, DpoOptions, LossType};
pub use reference::prepare_reference;
pub use report::{Report, Sample};
