//! Offline preference objectives: from tokenized answers to a loss that the engine minimises.
//!
//! Read [`Preference`] first: a batch of pairs goes through the policy once, prompts shared, and through
//! the reference (live, or its log-probs read from a cache), and functions of `align-losses` turn the two
//! into a loss per pair. [`Unpaired`] is the same for single answers that are desirable or not. Which
//! functions those are is a [`Method`], made from [`DpoOptions`] that have been checked against each other.

mod batch;
mod displacement;
mod evaluation;
mod job;
mod loss_type;
mod method;
mod metrics;
mod objective;
mod options;
mod reference;
mod report;
mod state;
mod unpaired;
mod unpaired_batch;

pub use batch::PairBatch;
pub use evaluation::{HeldOut, Look, Measuring, Prompted};
pub use job::{Job, Parts, Preferences, train};
pub use loss_type::LossType;
pub use method::{Basis, Labels, Method, OwnLoss, PairLoss, PairMethod, Pairs, UnpairedLoss, UnpairedMethod};
pub use objective::Preference;
pub use options::{DpoOptions, FDivergenceType};
pub use reference::{Mixup, MovingReference, Scoring, precompute};
pub use report::Report;
pub use unpaired::Unpaired;
pub use unpaired_batch::UnpairedBatch;
