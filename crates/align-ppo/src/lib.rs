#![doc = include_str!("../README.md")]

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
mod rollouter;
mod sample;
mod scoring;
mod shares;
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
pub use held_out::{HeldOut, HeldOutLook, Sampled};
pub use job::{Job, MethodName, Parts, RewardOptions, RolloutOptions, train};
pub use method::{Learned, Method, Phase};
pub use online_dpo::{OnlineDpo, OnlineDpoConfig};
pub use ppo::{
    KlCoefficient, PPO_LEARNING_RATE, Ppo, PpoBatch, PpoConfig, PpoLoss, PpoObjective, PpoOptions, ValueModel,
};
pub use report::{MeasuredWinRate, Point, Report, SupervisorAction};
pub use rollout::{Prompt, Rollout, Rollouts, Sampling, log_probs};
pub use rollouter::{LocalRollouter, Rollouter};
pub use sample::{SAMPLES_FILE, Sample};
pub use scoring::{ScoreSource, Scorer, Scores};
pub use start::check_start;
pub use supervisor::{Response, Rule, Supervised, Supervisor, SupervisorConfig, SupervisorOptions};
pub use train::{Ending, OnPolicy};
pub use value::{ActorCritic, Critic, CriticStart};
pub use watch::{Action, Alarm, Watch};
