//! Models as judges of preference pairs: how often they prefer the better answer, and how sure they are.

use serde::{Deserialize, Serialize};

use crate::Baseline;

/// A model on a file of pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// The model's name in this report.
    pub model: String,
    /// The measure that decides: `implicit reward` of a policy, `reward` of a reward model, or another rule.
    pub measure: String,
    /// The file.
    pub dataset: String,
    /// Rows read.
    pub rows: usize,
    /// Pairs compared; rows may have several, and rows that people judged a tie have none.
    pub pairs: usize,
    /// Rows that were left out, and why, in words: `12 ties`.
    #[serde(default)]
    pub left_out: Vec<String>,
    /// Share of pairs in which the better answer is preferred; a tie counts half.
    pub accuracy: f64,
    /// Its 95 % interval.
    pub accuracy_ci95: [f64; 2],
    /// The probability of so good a result by guessing.
    pub p_value: Option<f64>,
    /// Mean of better minus worse reward.
    pub margin: Option<f64>,
    /// Baselines: what rules that read nothing reach on the same pairs.
    #[serde(default)]
    pub baselines: Vec<Baseline>,
    /// The agreement of people: how often two who judged the same pair say the same; `None` where one person judged
    /// each. A model that agrees with people more than they do with each other has learned the set.
    #[serde(default)]
    pub agreement: Option<f64>,
    /// Calibration: how sure the model is, beside how often it is right.
    pub calibration: Option<Calibration>,
    /// Accuracy by the file's `subset` column, in the file's order.
    #[serde(default)]
    pub subsets: Vec<Subset>,
    /// Correlation of the difference of rewards with that of tokens.
    pub length_correlation: Option<f64>,
    /// Rewards of the better answers, for the histogram; may be a sample of them.
    #[serde(default)]
    pub chosen_rewards: Vec<f64>,
    /// Rewards of the worse answers.
    #[serde(default)]
    pub rejected_rewards: Vec<f64>,
}

/// What was left out of each file, a line per file and reason for it, however many models judged it.
pub(crate) fn left_out(judges: &[Preferences]) -> Vec<String> {
    let mut lines = Vec::new();
    for judge in judges.iter().filter(|judge| !judge.left_out.is_empty()) {
        let line = format!("{}: left out {}.", judge.dataset, judge.left_out.join(", "));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Calibration: whether a stated probability is the share that comes true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Expected calibration error.
    pub ece: f64,
    /// The mean of a calibrated judge that is as sure of as many pairs: what `ece` is to be read against.
    #[serde(default)]
    pub ece_if_calibrated: Option<f64>,
    /// The probability that such a judge's is at least as large.
    #[serde(default)]
    pub ece_p_value: Option<f64>,
    /// The calibration error once margins are divided by `temperature`.
    pub ece_after_temperature: Option<f64>,
    /// Mean squared error of the stated probability.
    pub brier: f64,
    /// The temperature by which margins should be divided: above 1 where the model is too sure.
    pub temperature: Option<f64>,
    /// Confidence and accuracy by confidence.
    pub reliability: Vec<ReliabilityBin>,
}

/// The pairs of one range of confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// The beginning of the range.
    pub from: f64,
    /// The end of the range.
    pub to: f64,
    /// Pairs in it; empty ranges are left out.
    pub pairs: usize,
    /// The mean confidence of the pairs.
    pub confidence: f64,
    /// The share that the model gets right.
    pub accuracy: f64,
}

/// The pairs of one subset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subset {
    /// The name in the file.
    pub name: String,
    /// Pairs in it.
    pub pairs: usize,
    /// The share that the model gets right.
    pub accuracy: f64,
    /// Its 95 % interval.
    pub ci95: Option<[f64; 2]>,
    /// The share that the rule "the longer answer is better" gets right.
    #[serde(default)]
    pub longer_wins: Option<f64>,
}
