//! The report as a whole: sections that are there if they were measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{BestOf, Comparison, Critique, Hacking, Preferences, Run, Sweep};

/// The `kind` of an evaluation in `report.json`.
pub const KIND: &str = "evaluation";

/// The version of the fields. Fields may be added under the same version; it rises when one changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// The report of an evaluation: everything that is known of some models. A section that was not measured is absent
/// or empty.
///
/// Figures are finite; what could not be measured is `None`, in JSON `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`KIND`].
    pub kind: String,
    /// [`SCHEMA`].
    pub schema: u32,
    /// The heading of the page.
    pub title: String,
    /// The time at which it was made, for people; nothing is computed from it. Empty where the time is to stay out.
    #[serde(default)]
    pub created: String,
    /// The settings that were asked for: options by their names.
    #[serde(default)]
    pub settings: BTreeMap<String, Value>,
    /// Notes that a reader must know to trust the figures: warnings, what was left out and why.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Seconds of the evaluation.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// Largest memory of the evaluation in MB, where the system tells.
    #[serde(default)]
    pub peak_memory_mb: Option<f64>,
    /// Models against a baseline on held-out prompts.
    #[serde(default)]
    pub comparison: Option<Comparison>,
    /// Models as judges of preference pairs, one entry per model and file.
    #[serde(default)]
    pub preferences: Vec<Preferences>,
    /// Gains of picking the best of N answers.
    #[serde(default)]
    pub best_of: Vec<BestOf>,
    /// Reward hacking: whether a run's reward went on rising while quality fell.
    #[serde(default)]
    pub hacking: Vec<Hacking>,
    /// Answers criticised and revised by principles.
    #[serde(default)]
    pub critique: Option<Critique>,
    /// Training runs with their curves.
    #[serde(default)]
    pub runs: Vec<Run>,
    /// Runs that differ in their settings.
    #[serde(default)]
    pub sweep: Option<Sweep>,
}

impl Report {
    /// A report without sections.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            kind: KIND.to_owned(),
            schema: SCHEMA,
            title: title.into(),
            created: String::new(),
            settings: BTreeMap::new(),
            notes: Vec::new(),
            seconds: None,
            peak_memory_mb: None,
            comparison: None,
            preferences: Vec::new(),
            best_of: Vec::new(),
            hacking: Vec::new(),
            critique: None,
            runs: Vec::new(),
            sweep: None,
        }
    }

    /// Adds the sections of another report: lists grow, a section that only one can have is taken from the one that has
    /// it, or from `other` if both have. Title and time stay.
    pub fn add(&mut self, other: Self) {
        self.settings.extend(other.settings);
        self.notes.extend(other.notes);
        self.seconds = sum(self.seconds, other.seconds);
        self.peak_memory_mb = largest(self.peak_memory_mb, other.peak_memory_mb);
        self.comparison = other.comparison.or_else(|| self.comparison.take());
        self.preferences.extend(other.preferences);
        self.best_of.extend(other.best_of);
        self.hacking.extend(other.hacking);
        self.critique = other.critique.or_else(|| self.critique.take());
        self.runs.extend(other.runs);
        self.sweep = other.sweep.or_else(|| self.sweep.take());
    }

    /// Gives each model of the comparison the time and memory of the run that has its name or its folder, where they
    /// are not known.
    pub fn fill_costs(&mut self) {
        for model in self.comparison.iter_mut().flat_map(|comparison| &mut comparison.models) {
            let run = self.runs.iter().find(|run| run.name == model.name || run.path == model.path);
            if let Some(run) = run {
                model.train_seconds = model.train_seconds.or(run.train_seconds);
                model.peak_memory_mb = model.peak_memory_mb.or(run.peak_memory_mb);
            }
        }
    }

    /// Says that it is made now, by this place's clock.
    pub fn date(&mut self) {
        self.created = chrono::Local::now().format("%Y-%m-%d %H:%M").to_string();
    }
}

fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.zip(b).map(|(a, b)| a + b).or(a).or(b)
}

fn largest(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.zip(b).map(|(a, b)| a.max(b)).or(a).or(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_back_from_json_as_it_was() {
        let mut report = Report::new("Three models");
        report.seconds = Some(1.5);
        report.notes.push("short".to_owned());
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    fn sections_that_are_missing_in_a_file_are_empty() {
        let report: Report =
            serde_json::from_str(r#"{"kind": "evaluation", "schema": 1, "title": "x"}"#).unwrap();
        assert_eq!(report, Report::new("x"));
    }

    #[test]
    fn adding_a_report_keeps_what_only_one_of_them_has() {
        let mut report = Report::new("a");
        report.seconds = Some(1.0);
        report.sweep = Some(Sweep { points: Vec::new() });
        let mut other = Report::new("b");
        other.seconds = Some(2.0);
        other.notes.push("note".to_owned());
        report.add(other);
        assert_eq!((report.title.as_str(), report.seconds), ("a", Some(3.0)));
        assert!(report.sweep.is_some() && report.notes == ["note"]);
    }
}
