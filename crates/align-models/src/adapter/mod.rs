//! Adapters: a few trained parameters over a model that stays as it is, in PEFT's layout on disk.

mod config;
mod dir;
mod json;
mod merge;
mod pissa;
mod plan;
mod start;
mod targets;
mod tensors;
mod vocabulary;

pub use config::{LoraConfig, LoraStart, Modules};
pub(crate) use dir::{ADAPTER, ADAPTER_CONFIG, AdapterDir};
pub use plan::AdapterPlan;
pub(crate) use tensors::{b, bias_of_b, is_offset, magnitude, offset_b};
pub(crate) use vocabulary::{Embedding, head_adapter};
