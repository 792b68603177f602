//! Runs that differ in their settings: what is bought at what distance.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::text;
use crate::{Error, Result};

/// The runs of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The points, one per run.
    pub points: Vec<SweepPoint>,
}

/// A run of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// The run's directory.
    pub run: String,
    /// The settings that differ: `beta`, `learning_rate`.
    pub settings: BTreeMap<String, f64>,
    /// Held-out preference accuracy.
    pub accuracy: Option<f64>,
    /// Held-out rows that the accuracy is of.
    #[serde(default)]
    pub held_out_rows: Option<usize>,
    /// Held-out margin of implicit rewards.
    pub margin: Option<f64>,
    /// KL from the reference in nats per answer.
    pub kl: Option<f64>,
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// Whether the run is on the frontier: no other has a higher accuracy at no more KL, or less KL at no lower
    /// accuracy.
    pub on_frontier: bool,
}

/// What is read of a run's `report.json`.
#[derive(Deserialize)]
struct Figures {
    held_out_rows: Option<usize>,
    accuracy_after: Option<f64>,
    margin_after: Option<f64>,
    kl: Option<f64>,
    train_seconds: Option<f64>,
}

impl Sweep {
    /// Reads the folders of runs that training programs made: `training_args.toml` and `report.json`. Settings are the
    /// numbers that are not the same in all of them, and runs are ordered by them.
    ///
    /// # Errors
    /// If one has no such files, or none that can be read.
    pub fn read(dirs: &[PathBuf]) -> Result<Self> {
        let settings = dirs.iter().map(|dir| numbers(dir)).collect::<Result<Vec<_>>>()?;
        let differs = |name: &String, value: &f64| {
            settings.iter().any(|others| others.get(name).is_none_or(|other| other != value))
        };
        let mut points = Vec::with_capacity(dirs.len());
        for (dir, own) in dirs.iter().zip(&settings) {
            let path = dir.join("report.json");
            let text = text(&path)?;
            let figures: Figures = serde_json::from_str(&text)
                .map_err(|error| Error::content(&path, format!("is no report of a training run: {error}")))?;
            points.push(SweepPoint {
                run: dir.display().to_string(),
                settings: own
                    .iter()
                    .filter(|(name, value)| differs(name, value))
                    .map(|(name, value)| (name.clone(), *value))
                    .collect(),
                accuracy: figures.accuracy_after,
                held_out_rows: figures.held_out_rows,
                margin: figures.margin_after,
                kl: figures.kl,
                seconds: figures.train_seconds,
                on_frontier: false,
            });
        }
        points.sort_by(|a: &SweepPoint, b| {
            let pairs = a.settings.values().zip(b.settings.values());
            pairs.map(|(a, b)| a.total_cmp(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        let mut sweep = Self { points };
        sweep.mark_frontier();
        Ok(sweep)
    }

    /// Says of each run whether another is better at no more KL. Runs without both figures are not on the frontier.
    pub fn mark_frontier(&mut self) {
        let measured: Vec<Option<(f64, f64)>> =
            self.points.iter().map(|point| point.accuracy.zip(point.kl)).collect();
        for (point, own) in self.points.iter_mut().zip(&measured) {
            point.on_frontier = own.is_some_and(|(accuracy, kl)| {
                !measured.iter().flatten().any(|&(other, distance)| {
                    other >= accuracy && distance <= kl && (other > accuracy || distance < kl)
                })
            });
        }
    }
}

/// The numbers among a run's options.
fn numbers(dir: &Path) -> Result<BTreeMap<String, f64>> {
    let path = dir.join("training_args.toml");
    let text = text(&path)?;
    let options: toml::Table =
        text.parse().map_err(|error: toml::de::Error| Error::content(&path, error.message().to_owned()))?;
    let number = |value: &toml::Value| match value {
        toml::Value::Float(number) => Some(*number),
        toml::Value::Integer(number) => Some(*number as f64),
        _ => None,
    };
    Ok(options.iter().filter_map(|(name, value)| Some((name.clone(), number(value)?))).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn point(accuracy: f64, kl: f64) -> SweepPoint {
        SweepPoint {
            run: String::new(),
            settings: BTreeMap::new(),
            accuracy: Some(accuracy),
            held_out_rows: None,
            margin: None,
            kl: Some(kl),
            seconds: None,
            on_frontier: false,
        }
    }

    #[test]
    fn a_run_is_on_the_frontier_unless_another_is_better_at_no_more_distance() {
        let mut sweep =
            Sweep { points: vec![point(0.8, 1.0), point(0.9, 2.0), point(0.85, 2.0), point(0.8, 0.5)] };
        sweep.points.push(SweepPoint { kl: None, ..point(0.99, 0.0) });
        sweep.mark_frontier();
        let marks: Vec<bool> = sweep.points.iter().map(|point| point.on_frontier).collect();
        assert_eq!(marks, [false, true, false, true, false]);
    }

    #[test]
    fn settings_are_the_numbers_that_differ() {
        let dir = tempfile::tempdir().unwrap();
        let dirs: Vec<PathBuf> = ["a", "b"].map(|name| dir.path().join(name)).into();
        for (dir, beta) in dirs.iter().zip(["10", "2"]) {
            fs::create_dir(dir).unwrap();
            let options =
                format!("beta = {beta}\nseed = 42\nreport_to = [\"tensorboard\"]\nloss_type = \"sigmoid\"\n");
            fs::write(dir.join("training_args.toml"), options).unwrap();
            let report = r#"{"kind": "dpo", "accuracy_after": 0.8, "margin_after": 1.5, "kl": 0.7, "train_seconds": 9}"#;
            fs::write(dir.join("report.json"), report).unwrap();
        }
        let sweep = Sweep::read(&dirs).unwrap();
        assert_eq!(sweep.points[0].settings, BTreeMap::from([("beta".to_owned(), 2.0)]));
        assert_eq!(sweep.points[1].settings, BTreeMap::from([("beta".to_owned(), 10.0)]));
        assert_eq!((sweep.points[0].kl, sweep.points[0].on_frontier), (Some(0.7), true));
        fs::write(dirs[0].join("report.json"), "[").unwrap();
        let error = Sweep::read(&dirs).unwrap_err().to_string();
        assert!(error.contains("report.json: is no report of a training run"), "{error}");
    }
}
