//! Rollouts, experience, and the on-policy loop: PPO with a critic, and the critic-free family.
//!
//! Every method samples from the policy itself, and all share one loop ([`OnPolicy::train`]): prompts → [`Rollouts`] →
//! [`Scores`] → the [`Method`]'s updates → metrics → a [`Watch`] that may step in. What a method makes of its completions
//! is its own business; how they are sampled, scored, logged and saved is not.
//!
//! PPO is [`Ppo::learn`]: values, an [`ExperienceBuffer`] with its [`compute_advantages`](ExperienceBuffer::compute_advantages),
//! and the clipped losses of [`PpoObjective`] with the KL penalty in the reward. The critic-free family (GRPO and its
//! relatives) is [`GroupTraining`], DPO on the policy's own pairs [`OnlineDpo`]. The formulas are in `align-losses`.

mod completions;
mod experience;
mod group;
mod held_out;
mod job;
mod method;
mod online_dpo;
mod ppo;
mod refusal;
mod report;
mod rollout;
mod sample;
mod scoring;
mod start;
mod supervisor;
mod train;
mod value;
mod watch;

pub use experience::{Estimation, ExperienceBuffer, KlEstimator, RewardFigures, ScorePosition};
pub use group::{
    Baseline, GroupAlgorithm, GroupBatch, GroupCompletion, GroupConfig, GroupLoss, GroupLossType,
    GroupObjective, GroupOptions, GroupSetting, GroupTraining, Importance, KlPenalty, PolicyLoss, Reduction,
    ScaleRewards, soft_overlong_punishment,
};
pub use held_out::{HeldOut, Look, Sampled};
pub use job::{Job, MethodName, Parts, RewardOptions, RolloutOptions, train};
pub use method::{Learned, Method, Phase};
pub use online_dpo::{OnlineDpo, OnlineDpoConfig};
pub use ppo::{
    KlCoefficient, PPO_LEARNING_RATE, Ppo, PpoBatch, PpoConfig, PpoLoss, PpoObjective, PpoOptions, ValueModel,
};
pub use report::{MeasuredWinRate, Point, Report, SupervisorAction};
pub use rollout::{Prompt, Rollout, Rollouts, Sampling, log_probs};
pub use sample::{SAMPLES_FILE, Sample};
pub use scoring::{ScoreSource, Scorer, Scores};
pub use start::check_start;
pub use supervisor::{Response, Rule, Supervised, Supervisor, SupervisorConfig, SupervisorOptions};
pub use train::{Ending, OnPolicy};
pub use value::{ActorCritic, Critic, CriticStart};
pub use watch::{Action, Alarm, Watch};
