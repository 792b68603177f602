//! The program as its user runs it: command lines, exit codes, and files that are left behind.
//!
//! `train-dpo` includes the modules that both programs share, all but `stage` and `flags`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accumulation;
mod replay;
mod resume;
mod stage;
mod support;
