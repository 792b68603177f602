#![doc = include_str!("../README.md")]

mod bag_of_words;
mod best_of;
mod calibration;
mod correlation;
mod diversity;
mod interval;
mod length_control;
mod significance;
mod twins;
mod win_rate;

pub use bag_of_words::{BagOfWords, Contrast, spread, words};
pub use best_of::{best_of, best_of_kl};
pub use calibration::{Calibration, ReliabilityBin};
pub use correlation::{pearson, spearman};
pub use diversity::{distinct_n, duplicate_rate, repetition};
pub use interval::{bootstrap_ci95, ci95_of_several, mean_ci95, share_ci95};
pub use length_control::{LengthControlled, Lengths, length_controlled};
pub use significance::{permutation_test, sign_test};
pub use twins::are_twins;
pub use win_rate::{WinRate, hit};
