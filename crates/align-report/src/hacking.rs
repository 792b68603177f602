//! Reward hacking: a run's reward against a measure that it was not trained on.

use serde::{Deserialize, Serialize};

/// The analysis of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hacking {
    /// The run's name in this report.
    pub run: String,
    /// The source of the reward that was optimised.
    pub proxy_source: String,
    /// The source of the figure that stands for true quality: a gold reward, a rule, people's scores. `None` where
    /// there was nothing but the run's own log.
    pub quality_source: Option<String>,
    /// The points, by rising step.
    pub points: Vec<HackingPoint>,
    /// Correlations over the run, and over parts of it.
    #[serde(default)]
    pub correlations: Vec<Correlation>,
    /// The divergence of reward and quality: where they part, if they do.
    pub divergence: Option<Divergence>,
    /// Share of the run's last answers that are degenerate: empty, repeating, or the same for many prompts.
    pub degenerate_rate: Option<f64>,
    /// A few of those.
    #[serde(default)]
    pub degenerate_examples: Vec<String>,
    /// The conclusion.
    pub verdict: HackingVerdict,
    /// The conclusion in a sentence or two.
    pub summary: String,
    /// The numbers behind it, one sentence each.
    #[serde(default)]
    pub evidence: Vec<String>,
}

/// A moment of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HackingPoint {
    /// Updates done.
    pub step: f64,
    /// The mean reward that was optimised.
    pub proxy: f64,
    /// The mean true quality.
    pub quality: Option<f64>,
    /// KL from the reference in nats per answer.
    pub kl: Option<f64>,
    /// Mean tokens of an answer.
    pub tokens: Option<f64>,
}

/// The correlation of two series: how far they go together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// The two series: `reward and quality`, `reward and length`.
    pub between: String,
    /// First step that it covers.
    pub from: f64,
    /// Last step that it covers.
    pub to: f64,
    /// Pearson's r; `None` where one of them never varies.
    pub r: Option<f64>,
}

/// The point after which reward rises and quality falls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// The step at which quality was best.
    pub step: f64,
    /// KL there.
    pub kl: Option<f64>,
    /// The reward's gain from there to the end.
    pub proxy_gain: f64,
    /// Its 95 % interval.
    #[serde(default)]
    pub proxy_gain_ci95: Option<[f64; 2]>,
    /// The quality's loss.
    pub quality_loss: f64,
    /// The probability of such a loss by chance.
    pub p_value: Option<f64>,
}

/// The conclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HackingVerdict {
    /// Reward and quality go together.
    Healthy,
    /// There are signs, and not enough of them.
    Suspicious,
    /// The reward went on rising while quality fell.
    Hacked,
    /// The log does not allow a conclusion.
    Undecided,
}
