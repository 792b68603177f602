#![doc = include_str!("../README.md")]

mod batch;
mod displacement;
mod evaluation;
mod job;
mod loss_type;
mod method;
mod metrics;
mod objective;
mod options;
mod reference;
mod report;
mod state;
mod unpaired;
mod unpaired_batch;

pub use batch::PairBatch;
pub use evaluation::{HeldOut, HeldOutLook, Measuring, OpenReference, Prompted};
pub use job::{Job, Parts, Preferences, train};
pub use loss_type::LossType;
pub use method::{Basis, Labels, Method, OwnLoss, PairLoss, PairMethod, Pairs, UnpairedLoss, UnpairedMethod};
pub use objective::Preference;
pub use options::{DpoOptions, FDivergenceType};
pub use reference::{Mixup, MovingReference, Scoring, precompute};
pub use report::{GroupAccuracy, Report, Twins};
pub use unpaired::Unpaired;
pub use unpaired_batch::UnpairedBatch;
