//! Supervised fine-tuning: a model and demonstrations in, a model that imitates them out.

pub use align_sft::train as train_with;
pub use align_sft::*;

use align_stage::{Host, Trained};

/// Trains, and saves the model with its report; nobody listens and nothing interrupts. [`train_with`] has the rest.
///
/// # Errors
/// Options, data or a model that are wrong, before anything is written; a loss that is not finite; files that cannot be
/// written.
pub fn train(job: &Job) -> crate::Result<Trained<Report>> {
    crate::trained(train_with(job, &Host::default(), Parts::default()))
}
