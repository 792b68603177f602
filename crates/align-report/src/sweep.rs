//! Runs that differ in their settings: what is bought at what distance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The runs of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// What all started from, for the table.
    pub baseline: Option<String>,
    /// One per run.
    pub points: Vec<SweepPoint>,
}

/// A run of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// Where it lies.
    pub run: String,
    /// The settings that differ: `beta`, `learning_rate`.
    pub settings: BTreeMap<String, f64>,
    /// Held-out preference accuracy.
    pub accuracy: Option<f64>,
    /// Held-out margin of implicit rewards.
    pub margin: Option<f64>,
    /// KL from the reference in nats per answer.
    pub kl: Option<f64>,
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// Whether no other run has both a higher accuracy and a lower KL.
    pub on_frontier: bool,
}
