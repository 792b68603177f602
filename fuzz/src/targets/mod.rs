//! The targets, by what they read.

pub(super) mod config;
pub(super) mod data;
pub(super) mod endpoint;
pub(super) mod options;
pub(super) mod report;
pub(super) mod rewards;
pub(super) mod template;
pub(super) mod tokenizer;
