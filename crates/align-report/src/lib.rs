#![doc = include_str!("../README.md")]

mod best_of;
mod comparison;
mod critique;
mod error;
mod files;
mod format;
mod hacking;
mod html;
mod job;
mod markdown;
mod preferences;
mod report;
mod runs;
mod sweep;
mod table;
mod tables;
mod words;

pub use best_of::{BestOf, BestOfPoint};
pub use comparison::{
    Answer, Baseline, Comparison, Judge, ModelFigures, PromptSet, RewardFigures, Sample, Verdict, WinRate,
};
pub use critique::{Critique, CritiqueExample, Principle};
pub use error::{Error, Result};
pub use hacking::{Correlation, Divergence, Hacking, HackingPoint, HackingVerdict};
pub use html::html;
pub use job::{Job, write};
pub use markdown::{markdown, summary};
pub use preferences::{Calibration, Preferences, ReliabilityBin, Subset};
pub use report::{KIND, Report, SCHEMA};
pub use runs::{Curve, Run};
pub use sweep::{Sweep, SweepPoint};

#[cfg(test)]
mod sample;
