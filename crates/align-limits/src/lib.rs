#![doc = include_str!("../README.md")]

pub mod memory;
mod number;

pub use number::{
    OutOfRange, bandwidth, count, finite, memory_size, number, rows, seed, signed, steps, token_id, tokens,
    whole,
};
