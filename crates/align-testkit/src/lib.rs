#![doc = include_str!("../README.md")]

pub mod close;
pub mod golden;
pub mod gradient;
pub mod numbers;

pub use close::{Mismatch, Tolerance, assert_close, assert_scalar_close, worst_mismatch};
pub use golden::{Array, Case, GoldenFile};
pub use gradient::{GradReport, assert_gradients, gradcheck, gradcheck_against, projection};
pub use numbers::assert_numbers_are_bounded;
