//! Rollouts, experience, and the on-policy loop: PPO with a critic, and the critic-free family.
//!
//! Every method samples from the policy itself, and all share one loop: prompts → [`Rollouts`] → scores → the
//! [`Method`]'s updates → metrics → a [`Watch`] that may step in. What a method makes of its completions is its own
//! business; how they are sampled, scored, logged and saved is not.

mod method;
mod rollout;
mod sample;
mod watch;

pub use method::{Learned, Method, Phase};
pub use rollout::{Prompt, Rollout, Rollouts};
pub use sample::Sample;
pub use watch::{Action, Alarm, Watch};
