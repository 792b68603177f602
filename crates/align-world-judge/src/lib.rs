#![doc = include_str!("../README.md")]

mod options;
mod quality;

pub use options::{JudgeName, JudgeOptions};
pub use quality::{Class, WorldQuality};
