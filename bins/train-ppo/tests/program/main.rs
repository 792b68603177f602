//! The program as its user runs it: command lines, exit codes, and files that are left behind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod methods;
#[cfg(unix)]
mod outside;
mod refusals;
mod resume;
mod rounds;
mod stage;
mod supervised;

#[path = "../../../train-sft/tests/program/adapters.rs"]
mod adapters;
#[path = "../../../train-sft/tests/program/families.rs"]
mod families;
#[path = "../../../train-sft/tests/program/precision.rs"]
mod precision;
#[expect(dead_code, reason = "shared with programs that are tested in more ways")]
#[path = "../../../train-sft/tests/program/support.rs"]
mod support;
