//! What is watched, and what may be done about it.

use serde::{Deserialize, Serialize};

/// A sign that a run goes wrong. What each measures is said at its threshold in
/// [`SupervisorOptions`](super::SupervisorOptions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented with its option, under the same name")]
pub enum Rule {
    RewardLevel,
    RewardJump,
    KlLevel,
    KlLimit,
    KlAcceleration,
    EntropyCollapse,
    ClipFraction,
    ValueLoss,
    RatioDrift,
    LengthChange,
    Duplicates,
    Degenerate,
    RewardLengthCorrelation,
    NotFinite,
}

/// What a broken rule is answered with: the values of the options `on_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Do not look
    Off,
    /// Say so in the log
    Warn,
    /// Multiply the KL coefficient by kl_factor
    RaiseKl,
    /// Multiply the learning rate by learning_rate_factor
    LowerLearningRate,
    /// Go back to the last good checkpoint, at half the learning rate; stop after max_roll_backs of them
    RollBack,
    /// End the run
    Stop,
}

impl Rule {
    /// All of them, in the order in which they are looked at.
    pub const ALL: [Self; 14] = [
        Self::NotFinite,
        Self::KlLimit,
        Self::Degenerate,
        Self::Duplicates,
        Self::RewardLengthCorrelation,
        Self::KlLevel,
        Self::KlAcceleration,
        Self::RewardLevel,
        Self::RewardJump,
        Self::EntropyCollapse,
        Self::ClipFraction,
        Self::ValueLoss,
        Self::RatioDrift,
        Self::LengthChange,
    ];

    /// Its name in options and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::RewardLevel => "reward_level",
            Self::RewardJump => "reward_jump",
            Self::KlLevel => "kl_level",
            Self::KlLimit => "kl_limit",
            Self::KlAcceleration => "kl_acceleration",
            Self::EntropyCollapse => "entropy_collapse",
            Self::ClipFraction => "clip_fraction",
            Self::ValueLoss => "value_loss",
            Self::RatioDrift => "ratio_drift",
            Self::LengthChange => "length_change",
            Self::Duplicates => "duplicates",
            Self::Degenerate => "degenerate",
            Self::RewardLengthCorrelation => "reward_length_correlation",
            Self::NotFinite => "not_finite",
        }
    }

    /// Whether a value is on the wrong side. One that is no number is.
    pub(super) fn is_broken_by(self, value: f64, threshold: f64) -> bool {
        match self {
            _ if value.is_nan() => true,
            Self::EntropyCollapse => value < threshold,
            _ => value > threshold,
        }
    }

    /// What it means that it is broken.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::RewardLevel => {
                "the reward is higher than any that was expected: look whether it is deserved"
            }
            Self::RewardJump => "the reward has jumped within a phase: look at what is rewarded",
            Self::KlLevel => "the policy is far from the reference",
            Self::KlLimit => "the policy has left the reference behind",
            Self::KlAcceleration => "the policy moves away from the reference faster and faster",
            Self::EntropyCollapse => {
                "the policy has become almost certain of its next token: it explores no more"
            }
            Self::ClipFraction => "much of every update is clipped: the steps are too large",
            Self::ValueLoss => "the critic does not follow the rewards",
            Self::RatioDrift => {
                "the policy leaves its samples behind within a phase: the steps are too large"
            }
            Self::LengthChange => "completions have another length than at the start",
            Self::Duplicates => "different prompts get the same answer",
            Self::Degenerate => "completions are empty or repeat themselves",
            Self::RewardLengthCorrelation => {
                "the reward is little more than a measure of length: it is being hacked"
            }
            Self::NotFinite => "a loss, a gradient or a measurement is not a finite number",
        }
    }
}
