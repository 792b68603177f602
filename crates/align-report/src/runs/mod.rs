//! Training runs: their figures and the curves of their logs.
//!
//! Read is what the training programs of this project write, and transformers and TRL too: `metrics.jsonl`, else
//! `trainer_state.json`, else TensorBoard's event files; and `report.json` for what the run cost.

mod log;
mod tensorboard;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// A run with its curves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name in this report.
    pub name: String,
    /// The run's directory.
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
    /// The curves, one per metric that was logged, by name.
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

impl Run {
    /// Reads the folder of a run.
    ///
    /// # Errors
    /// If it has no log, or one that cannot be read.
    pub fn read(name: impl Into<String>, dir: &Path) -> Result<Self> {
        let curves = match (log::metrics(dir)?, log::trainer_state(dir)?) {
            (Some(curves), _) | (None, Some(curves)) => Some(curves),
            (None, None) => tensorboard::curves(dir)?,
        };
        let Some(curves) = curves else {
            return Err(Error::content(
                dir,
                "has no metrics.jsonl, no trainer_state.json and no TensorBoard file; expected the folder of a training run",
            ));
        };
        let figures = figures(dir)?;
        let number = |key: &str| figures.get(key).and_then(Value::as_f64);
        let last_step = curves.values().filter_map(|points| Some(points.last()?[0])).fold(0.0, f64::max);
        let curves = curves.into_iter().map(|(metric, points)| Curve { metric, points });
        Ok(Self {
            name: name.into(),
            path: dir.display().to_string(),
            kind: figures.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned(),
            steps: Some(number("steps").unwrap_or(last_step) as usize),
            train_seconds: number("train_seconds"),
            peak_memory_mb: number("peak_memory_mb"),
            curves: curves.collect(),
        })
    }

    /// The points of a metric, if it was logged.
    pub fn curve(&self, metric: &str) -> Option<&[[f64; 2]]> {
        self.curves.iter().find(|curve| curve.metric == metric).map(|curve| curve.points.as_slice())
    }

    /// The last value of a metric.
    pub fn last(&self, metric: &str) -> Option<f64> {
        self.curve(metric).and_then(|points| points.last()).map(|point| point[1])
    }
}

/// Points by metric.
type Curves = BTreeMap<String, Vec<[f64; 2]>>;

/// `report.json` of a training run; nothing where there is none, as after a run that was stopped.
fn figures(dir: &Path) -> Result<serde_json::Map<String, Value>> {
    let path = dir.join("report.json");
    let Some(json) = optional(&path)? else { return Ok(serde_json::Map::new()) };
    serde_json::from_str(&json).map_err(|error| Error::content(&path, format!("is no JSON object: {error}")))
}

/// Bytes of a log that are read: far above what a run writes, far below what a machine has.
const LARGEST: u64 = 1 << 30;

/// The text of a file that may be absent.
fn optional(path: &Path) -> Result<Option<String>> {
    match align_files::read_to_string(path, LARGEST) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path)(error.source)),
    }
}

#[cfg(test)]
mod tests;
