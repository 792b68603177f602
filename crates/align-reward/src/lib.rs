#![doc = include_str!("../README.md")]

mod batch;
mod check;
mod evaluation;
mod job;
mod normalization;
mod objective;
mod options;
mod quality;
mod report;
mod rewards;
pub mod scoring;

#[cfg(feature = "encoders")]
pub use align_encoders::is_encoder;
pub use align_stats::{Calibration, ReliabilityBin};
pub use batch::{RankingBatch, first_answers};
pub use check::check_rows;
pub use evaluation::{HeldOut, Judged, accuracy, judge};
pub use job::{Job, Parts, train};
pub use normalization::RewardNormalization;
pub use objective::{Ranked, RewardSource, features};
pub use options::{DEFAULT_LEARNING_RATE, HeadType, Method, RankingLoss, RewardOptions};
pub use quality::{Baselines, Distribution, Failure, Quality, SourceAccuracy, Twins};
pub use report::{NORMALIZED_ON, Overfit, Report};
#[cfg(feature = "encoders")]
pub use rewards::EncoderReward;
pub use rewards::{
    Aggregate, CommandReward, Ensemble, ExactMatch, FormatMatch, LengthRange, LoadedRewardModel, ModelReward,
    Normalize, NumericAnswer, OpenReward, OutsideOptions, Questions, Reading, Reward, RewardError, RewardFn,
    RewardKind, RewardModelDir, RewardSpec, Task, UrlReward, WeightedSum, open_reward,
};

#[cfg(test)]
mod tests {
    use align_data::{Candidates, Origin, TemplateArguments, TokenizedCandidates, TokenizedRanking};

    use crate::Task;

    /// Answers to a question in code.
    pub(crate) fn task(reference: Option<&str>, answers: &[&str]) -> Task {
        let candidates = Candidates {
            prompt: "Question?".into(),
            completions: answers.iter().map(|&answer| answer.into()).collect(),
            template: TemplateArguments::default(),
            origin: Origin::in_code(0),
        };
        Task { candidates, reference: reference.map(str::to_owned) }
    }

    /// A row with a prompt of `row + 1` tokens and answers of these lengths.
    pub(crate) fn ranking(row: usize, lengths: &[usize]) -> TokenizedRanking {
        let answer = |(rank, length): (usize, &usize)| vec![10 + rank as u32; *length];
        let answers = TokenizedCandidates {
            prompt: vec![5 + row as u32; row + 1],
            completions: lengths.iter().enumerate().map(answer).collect(),
            row,
            origin: Origin::in_code(row),
        };
        TokenizedRanking { answers, margin: None, source: None }
    }
}
