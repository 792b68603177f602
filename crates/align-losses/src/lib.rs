#![doc = include_str!("../README.md")]

mod checks;

pub mod kl;
pub mod likelihood;
pub mod numerics;
pub mod preference;
pub mod sequence;

pub use kl::{k1, k2, k3};
pub use likelihood::{label_log_probs, nll};
pub use numerics::{log_sigmoid, masked_mean, masked_sum, relu, sigmoid};
pub use preference::{LogRatios, PairLengths, PairLogProbs, PairRewards, cdpo, dpo};
pub use sequence::{Sequences, masked_sequence_log_probs, sequence_log_probs, shift_mask, shifted_log_probs};
