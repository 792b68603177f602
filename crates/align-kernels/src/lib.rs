#![doc = include_str!("../README.md")]

// Each op is a folder or file whose `composed` form, made of device-neutral tensor ops, is the definition,
// the fallback on every device, and the oracle that a faster form is tested against. Callers cannot tell
// which form ran.

mod accumulate;
mod attention;
mod attention_block;
mod checkpoint;
mod cpu;
mod embedding;
mod linear;
mod linear_log_probs;
mod mlp_block;
mod param;
mod params;
mod rms_norm;
mod rope;
pub mod softmax;
mod swiglu;

pub use attention::{Segment, attention};
pub use attention_block::{AttentionBlock, attention_block, cached_attention_block};
pub use checkpoint::checkpoint;
pub use embedding::embedding;
pub use linear::{linear, linears};
pub use linear_log_probs::{TokenStats, linear_log_probs, linear_log_probs_with_stats};
pub use mlp_block::mlp_block;
pub use param::{GradBuffer, Param};
pub use params::Params;
pub use rms_norm::rms_norm;
pub use rope::{Rope, rope};
pub use swiglu::swiglu;

/// The composed form of ops that have another, for tests and benches to compare with.
#[doc(hidden)]
pub mod composed {
    pub use crate::attention::composed::attention;
    pub use crate::attention_block::composed::attention_block;
    pub use crate::embedding::composed::embedding;
    pub use crate::linear::composed::linear;
    pub use crate::linear_log_probs::composed::{linear_log_probs, linear_log_probs_with_stats};
    pub use crate::mlp_block::composed::mlp_block;
    pub use crate::rms_norm::composed::rms_norm;
    pub use crate::rope::composed::rope;
    pub use crate::swiglu::composed::swiglu;
}
