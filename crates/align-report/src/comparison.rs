//! Models against a baseline: who wins how often, at what distance from the reference, and what they said.

use serde::{Deserialize, Serialize};

use crate::format::count;

/// A comparison of models on held-out prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The name of the model that the others are compared with; it is one of `models`.
    pub baseline: String,
    /// The judge who decided.
    pub judge: Judge,
    /// The source of the prompts.
    pub prompt_source: String,
    /// The number of prompts.
    pub prompts: usize,
    /// Answers that each model gave to each prompt, every one compared with an answer of the baseline's.
    #[serde(default = "one")]
    pub answers_per_prompt: usize,
    /// The sampling of answers, in words: temperature, seed, most tokens.
    pub sampling: String,
    /// The source of the `reward` of models and answers: a reward model's name, a rule. `None` without rewards.
    pub reward_source: Option<String>,
    /// The models, the baseline first.
    pub models: Vec<ModelFigures>,
    /// Baselines: what rules that read no answer reach under the same judge.
    #[serde(default)]
    pub baselines: Vec<Baseline>,
    /// Prompts with what each model said, all of them: histograms and scatter plots are made of these. Several answers to
    /// a prompt are an entry each.
    #[serde(default)]
    pub samples: Vec<Sample>,
}

/// Of comparisons that were written when there was no other number.
fn one() -> usize {
    1
}

impl Comparison {
    /// What was compared, in words: `200 prompts`, `800 answers to 200 prompts`.
    pub(crate) fn compared(&self) -> String {
        let prompts = count(self.prompts, "prompt");
        match self.answers_per_prompt {
            0 | 1 => prompts,
            several => format!("{} answers to {prompts}", self.prompts.saturating_mul(several)),
        }
    }
}

/// The judge who decides between two answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    /// `reward_model`, `rule` or `endpoint`.
    pub kind: String,
    /// The judge's name: a directory, a rule's name, a model at an endpoint.
    pub name: String,
    /// A note on what a reader must know of it, such as how far it agrees with people. Empty if nothing.
    #[serde(default)]
    pub note: String,
}

/// The figures of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelFigures {
    /// Its name in this report: `sft`, `dpo`.
    pub name: String,
    /// The model's directory.
    pub path: String,
    /// The win rate against the baseline; for the baseline itself all ties.
    pub win_rate: Option<WinRate>,
    /// The rewards of its answers.
    pub reward: Option<RewardFigures>,
    /// KL from the reference in nats per answer.
    pub kl_per_sequence: Option<f64>,
    /// Its 95 % interval, by bootstrap over prompts.
    #[serde(default)]
    pub kl_ci95: Option<[f64; 2]>,
    /// KL from the reference in nats per token.
    pub kl_per_token: Option<f64>,
    /// The perplexity of held-out text.
    pub perplexity: Option<f64>,
    /// Distinct words of all words in its answers.
    pub distinct_1: Option<f64>,
    /// Distinct pairs of words of all such pairs.
    pub distinct_2: Option<f64>,
    /// Share of answers that another prompt got word for word. Of several answers per prompt one each is taken at a time,
    /// here and for the distinct words.
    pub duplicate_rate: Option<f64>,
    /// Mean length of an answer in tokens.
    pub mean_tokens: Option<f64>,
    /// Share of answers that were cut off at the most tokens.
    pub truncated_rate: Option<f64>,
    /// Share of answers that refuse.
    pub refusal_rate: Option<f64>,
    /// Figures by sets of prompts. Those called `safety` and `helpfulness` have columns of their own in the table.
    #[serde(default)]
    pub prompt_sets: Vec<PromptSet>,
    /// Seconds that its training took.
    pub train_seconds: Option<f64>,
    /// Largest memory of its training in MB.
    pub peak_memory_mb: Option<f64>,
}

/// Wins, and how sure they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WinRate {
    /// Answers that the judge prefers to the baseline's.
    pub wins: usize,
    /// Answers that it finds as good.
    pub ties: usize,
    /// Answers that it finds worse.
    pub losses: usize,
    /// (wins + ties / 2) / all, in [0, 1].
    pub rate: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
    /// The probability of so uneven a result if both were equally good.
    pub p_value: Option<f64>,
    /// The rate if both answers were equally long.
    pub length_controlled: Option<f64>,
    /// Its 95 % interval.
    pub length_controlled_ci95: Option<[f64; 2]>,
    /// Share of comparisons in which the judge says the same whichever answer it reads first; `None` for judges that score
    /// answers one by one.
    pub order_consistency: Option<f64>,
}

/// Rewards of a model's answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardFigures {
    /// Mean.
    pub mean: f64,
    /// Standard deviation over answers.
    pub std: f64,
    /// 95 % interval of the mean.
    pub ci95: [f64; 2],
    /// Correlation of an answer's reward with its tokens; `None` where one of them never varies.
    pub length_correlation: Option<f64>,
}

/// A model on some of the prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PromptSet {
    /// The set's name.
    pub name: String,
    /// Prompts in it.
    pub prompts: usize,
    /// The win rate against the baseline on these prompts.
    pub win_rate: Option<WinRate>,
    /// The rate at which the judge prefers the longer of both answers on these prompts; unknown for the baseline.
    #[serde(default)]
    pub longer_wins: Option<f64>,
    /// The win rate that one answer, given to every one of these prompts, has on them: the best of a few on other prompts.
    #[serde(default)]
    pub constant_answer: Option<f64>,
    /// Rewards on these prompts.
    pub reward: Option<RewardFigures>,
    /// Share of answers that refuse.
    pub refusal_rate: Option<f64>,
}

/// A rule that reads no answer, as a yardstick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// `longer wins`, `shorter wins`, `one answer for all`.
    pub name: String,
    /// The model whose figure it stands beside; `None` if it is the same for all.
    pub model: Option<String>,
    /// The figure that it reaches: a win rate, or an accuracy on pairs, in [0, 1].
    pub value: f64,
    /// The mean reward of its answers, of rules that answer.
    #[serde(default)]
    pub reward: Option<f64>,
    /// A note on what it does, in words.
    #[serde(default)]
    pub note: String,
}

/// A prompt with what each model said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The prompt as a person reads it, without markup.
    pub prompt: String,
    /// The sets it belongs to, and what kind of prompt it is: what a reader can filter by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The number of the answers to this prompt, from 0.
    #[serde(default)]
    pub number: usize,
    /// The answers, one per model.
    pub answers: Vec<Answer>,
}

/// A model's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The model's name.
    pub model: String,
    /// The answer, without markup.
    pub text: String,
    /// Its length.
    pub tokens: usize,
    /// Its reward.
    pub reward: Option<f64>,
    /// The verdict against the baseline's answer; `None` for the baseline.
    pub verdict: Option<Verdict>,
    /// The judge's reason, where it gives reasons.
    #[serde(default)]
    pub reason: Option<String>,
}

/// An answer against the baseline's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is better.
    Win,
    /// It is as good.
    Tie,
    /// It is worse.
    Loss,
}

impl Verdict {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Win => "win",
            Self::Tie => "tie",
            Self::Loss => "loss",
        }
    }
}
