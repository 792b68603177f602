//! Runs of a toy stage, from the first update to the resumed checkpoint.
//!
//! One program, so that the toy is compiled once. What raises a signal is in a program of its own.
#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod accumulation;
mod best;
mod guards;
mod optimizers;
mod ranks;
mod resume;
mod runs;
mod shards;
mod toy;
