#![doc = include_str!("../README.md")]

mod answers_only;
mod batches;
mod changed;
mod error;
mod figures;
mod given;
mod host;
mod job;
mod judge;
mod lora;
mod opening;
mod options;
mod place;
mod precision;
mod quantisation;
mod reference;
mod training;

pub use align_kernels::Isa;
pub use align_train::Pace;
pub use answers_only::{Answers, AnswersOnly};
pub use batches::{Pack, RowBatches};
pub use changed::{ChangedAnswer, JudgedChanges, Said};
pub use error::{Error, ErrorKind, Result};
pub use figures::RunFigures;
pub use given::Given;
pub use host::{Event, Heard, Host, Look};
pub use job::Job;
pub use judge::{Judge, Verdict, check_judge};
pub use lora::{InitLoraWeights, LoraOptions};
pub use opening::{Opening, given, settings};
pub use options::{ModelOptions, OutputOptions, find_base, open_model, open_model_dir};
pub use place::{Place, PlaceError, SETTINGS_FILE};
pub use precision::PrecisionOptions;
pub use quantisation::{QuantOptions, QuantType};
pub use reference::open_reference;
pub use training::{Ended, Fixed, Trained, Training, publish, start, told, went_on};
