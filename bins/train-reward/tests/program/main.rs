//! The program as its user runs it: command lines, exit codes, and files that are left behind.
//!
//! What every training program must show is written once, beside `train-sft`; [`stage`] fills in what is this
//! program's own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod reward;
mod stage;

#[path = "../../../train-sft/tests/program/accumulation.rs"]
mod accumulation;
#[path = "../../../train-sft/tests/program/adapters.rs"]
mod adapters;
#[path = "../../../train-sft/tests/program/bad_data.rs"]
mod bad_data;
#[path = "../../../train-sft/tests/program/bad_input.rs"]
mod bad_input;
#[path = "../../../train-sft/tests/program/bad_model.rs"]
mod bad_model;
#[path = "../../../train-sft/tests/program/families.rs"]
mod families;
#[path = "../../../train-sft/tests/program/flags.rs"]
mod flags;
#[path = "../../../train-sft/tests/program/invocation.rs"]
mod invocation;
#[path = "../../../train-sft/tests/program/precision.rs"]
mod precision;
#[path = "../../../train-sft/tests/program/replay.rs"]
mod replay;
#[path = "../../../train-sft/tests/program/resume.rs"]
mod resume;
#[path = "../../../train-sft/tests/program/support.rs"]
mod support;
#[path = "../../../train-sft/tests/program/vocabulary.rs"]
mod vocabulary;
