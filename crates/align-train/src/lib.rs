//! Losses to parameter updates that can be resumed exactly.
//!
//! A stage implements [`Objective`] (what is minimised) and [`Batches`] (where micro-batches come from).
//! [`Updater`] makes one parameter update from a window of micro-batches; [`fit`] is the epoch loop around
//! it, which logs, evaluates and saves through a [`Run`]. This crate sees named parameters only: it knows
//! no model and no data.

mod adamw;
mod checkpoint;
mod checkpoints;
mod error;
mod evaluation;
mod fit;
mod gradients;
mod interrupt;
mod manifest;
mod metrics;
mod noted;
mod objective;
mod options;
mod progress;
mod report;
mod run;
mod schedule;
mod selection;
mod settings;
mod trainer_state;
mod updater;
mod weights;
mod windows;

pub use adamw::{AdamW, AdamWConfig};
pub use align_files::{OutputDir, Resume, Use};
pub use checkpoint::Checkpoint;
pub use error::{Error, Result};
pub use evaluation::evaluate;
pub use fit::{Outcome, fit};
pub use interrupt::{Listening, Stop, StopReason};
pub use metrics::Metrics;
pub use noted::Noted;
pub use objective::{Batches, Cursor, Evaluate, Objective, StepLoss};
pub use options::{Every, Length, ReportTo, Selection, Strategy, TrainConfig, TrainOptions, Warmup};
pub use run::{AcceptedRun, OnLog, Run, RunControl};
pub use schedule::{LrSchedulerType, Schedule};
pub use selection::Verdict;
pub use settings::FREE_OPTIONS;
pub use trainer_state::{LogEntry, TrainerState};
pub use updater::{Update, Updater};
pub use weights::Weights;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
