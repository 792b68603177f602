#![doc = include_str!("../README.md")]

mod job;
mod modelfile;
mod size;

pub use job::{Job, Report, export};
pub use size::ShardSize;
