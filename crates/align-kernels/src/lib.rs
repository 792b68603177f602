#![doc = include_str!("../README.md")]

// Each op is a folder or file whose `composed` form, made of device-neutral tensor ops, is the definition,
// the fallback on every device, and the oracle that a faster form is tested against. Callers cannot tell
// which form ran.

mod attention;
mod blocks;
mod cpu;
mod embedding;
mod gated;
mod linear;
mod linear_log_probs;
mod noise;
mod param;
mod params;
mod rms_norm;
mod rope;
mod rows;
mod softcap;
pub mod softmax;
mod tape;

pub use attention::{Looking, Segment, Segments, attention};
pub use blocks::{
    Absmax, Bf16, Blocks, DoubleQuantised, FourBit, FourBitKind, Ggml, Int8, dynamic_map,
    unsigned_dynamic_map,
};
#[doc(hidden)]
pub use cpu::composed;
pub use cpu::{Isa, Precision};
pub use embedding::{TrainedRows, embedding};
pub use gated::{Activation, gated, swiglu};
pub use linear::{Adapter, Linear, Numbers, Weight, linear, magnitudes};
pub use linear_log_probs::{Head, TokenStats, linear_log_probs, linear_log_probs_with_stats};
pub use noise::{Draw, Noise};
pub use param::{GradBuffer, Param, Written};
pub use params::Params;
pub use rms_norm::{RmsNorm, rms_norm};
pub use rope::{Rope, rope};
pub use softcap::SoftCap;
pub use tape::{Tape, Value, checkpoint, record};
