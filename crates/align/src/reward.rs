//! Reward models, and rewards of texts by models, rules and functions of one's own.

pub use align_reward::train as train_with;
pub use align_reward::*;

use align_stage::{Host, Trained};

/// Trains a reward model, and saves it with its report; nobody listens and nothing interrupts. [`train_with`] has the rest.
///
/// # Errors
/// Options, data or a model that are wrong, before anything is written; a loss that is not finite; files that cannot be
/// written.
pub fn train(job: &Job) -> crate::Result<Trained<Report>> {
    crate::trained(train_with(job, &Host::default(), Parts::default()))
}
