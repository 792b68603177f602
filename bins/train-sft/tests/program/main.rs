//! The program as its user runs it: command lines, exit codes, and files that are left behind.
//!
//! `train-dpo` includes the modules that both programs share: all but `stage`, `demonstrations` and `packing`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accumulation;
mod adapters;
mod bad_data;
mod bad_input;
mod bad_model;
mod demonstrations;
mod families;
mod flags;
mod hostile;
mod invocation;
mod output;
mod packing;
mod precision;
mod replay;
mod resume;
mod stage;
mod support;
mod vocabulary;
