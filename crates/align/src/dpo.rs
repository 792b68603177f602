//! Preference training: DPO and its relatives on pairs of answers, KTO and others on single ones.

pub use align_dpo::train as train_with;
pub use align_dpo::*;

use align_stage::{Host, Trained};

/// Trains, and saves the model with its report; nobody listens and nothing interrupts. [`train_with`] has the rest: a loss,
/// data or a judge of one's own, progress, a stop.
///
/// # Errors
/// Options, data or models that are wrong, before anything is written; a loss that is not finite; files that cannot be
/// written.
pub fn train(job: &Job) -> crate::Result<Trained<Report>> {
    crate::trained(train_with(job, &Host::default(), Parts::default()))
}
