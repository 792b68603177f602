//! Training runs: their figures and the curves of their logs.

use serde::{Deserialize, Serialize};

/// A run with its curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name in this report.
    pub name: String,
    /// Where it lies.
    pub path: String,
    /// The stage: `sft`, `reward`, `dpo`, `ppo`; empty where the folder does not say.
    #[serde(default)]
    pub kind: String,
    /// Updates made.
    pub steps: Option<usize>,
    /// Seconds of training.
    pub train_seconds: Option<f64>,
    /// Largest memory in MB.
    pub peak_memory_mb: Option<f64>,
    /// One per metric that was logged, by name.
    pub curves: Vec<Curve>,
}

/// A metric over a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The name in the log: `loss`, `eval_loss`, `rewards/margins`.
    pub metric: String,
    /// Step and value, by rising step.
    pub points: Vec<[f64; 2]>,
}
