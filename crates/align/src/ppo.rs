//! Reinforcement learning from a reward: PPO with a critic, GRPO and its relatives without one, online DPO.

pub use align_ppo::train as train_with;
pub use align_ppo::*;

use align_stage::{Host, Trained};

/// Trains, and saves the model with its report; nobody listens and nothing interrupts. [`train_with`] has the rest: rewards,
/// prompts or a judge of one's own, progress, a stop.
///
/// # Errors
/// Options, data or models that are wrong, before anything is written; an update that is not finite; a run that its
/// supervisor stopped; files that cannot be written.
pub fn train(job: &Job) -> crate::Result<Trained<Report>> {
    crate::trained(train_with(job, &Host::default(), Parts::default()))
}
