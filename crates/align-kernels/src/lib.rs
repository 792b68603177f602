//! Differentiable ops with exact backward passes, and the parameter with its gradient buffer that
//! they write to.
//!
//! Candle's own fused `rms_norm`, `rope`, `softmax_last_dim` and `sdpa` have no backward: a model that
//! calls them trains with its gradients silently cut. Every op here has one, checked against finite
//! differences in f64.
//!
//! Each op is a folder or file whose `composed` form, made of device-neutral tensor ops, is the
//! definition, the fallback on every device, and the oracle that a faster form is tested against.
//! Callers cannot tell which form ran. This crate knows no model, no file and no other crate of the
//! workspace.

mod accumulate;
mod attention;
mod embedding;
mod linear;
mod linear_log_probs;
mod param;
mod params;
mod rms_norm;
mod rope;
mod swiglu;

pub use attention::{Segment, attention};
pub use embedding::embedding;
pub use linear::linear;
pub use linear_log_probs::{TokenStats, linear_log_probs, linear_log_probs_with_stats};
pub use param::{GradBuffer, Param};
pub use params::Params;
pub use rms_norm::rms_norm;
pub use rope::{Rope, rope};
pub use swiglu::swiglu;
