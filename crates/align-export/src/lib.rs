#![doc = include_str!("../README.md")]

mod job;
mod size;

pub use job::{Job, Report, export};
pub use size::ShardSize;
