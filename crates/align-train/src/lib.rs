#![doc = include_str!("../README.md")]

mod checkpoint;
mod checkpoints;
mod error;
mod evaluation;
mod fit;
mod gradients;
mod interrupt;
mod layout;
mod manifest;
mod metrics;
mod noted;
mod objective;
mod optimizer;
mod options;
mod pace;
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

pub use align_files::{OutputDir, Resume, Use};
pub use checkpoint::Checkpoint;
pub use error::{Error, Result};
pub use evaluation::evaluate;
pub use fit::{Outcome, fit};
pub use interrupt::{Listening, Stop, StopReason};
pub use layout::{Layout, Part};
pub use metrics::Metrics;
pub use noted::Noted;
pub use objective::{Batches, Cursor, Evaluate, Objective, StepLoss};
pub use optimizer::{
    Adam, LrAdjustment, Momentum, Muon, Optim, Optimizer, OptimizerConfig, OptimizerMethod,
};
pub use options::{Every, Length, ReportTo, Selection, Strategy, TrainConfig, TrainOptions, Warmup};
pub use pace::Pace;
pub use run::{AcceptedRun, OnLog, Run, RunControl};
pub use schedule::{Curve, Floor, LrSchedulerType, Plateau, Ramp, Schedule, StableDecay};
pub use selection::SelectionVerdict;
pub use settings::FREE_OPTIONS;
pub use trainer_state::{LogEntry, TrainerState};
pub use updater::{Update, Updater};
pub use weights::Weights;
