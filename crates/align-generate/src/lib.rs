#![doc = include_str!("../README.md")]

mod job;
mod prompts;
mod row;

pub use job::{Job, Report, SequenceOptions, generate};
pub use prompts::{Elsewhere, PromptFormat, PromptOptions};
pub use row::Row;
