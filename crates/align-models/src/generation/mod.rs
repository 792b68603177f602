//! Greedy and sampled completions with a key-value cache.
//!
//! Prompts are prefilled together as one packed stream; then all unfinished sequences advance one token
//! per step and leave when they end. A sequence's text depends on its prompt, the seed and its number
//! alone, not on what it was batched with: each has a random stream of its own.

mod cache;
mod decode;
mod options;
mod sampler;

pub use decode::{Completion, generate, generate_in_batches};
pub use options::GenerationOptions;
pub use sampler::Sampler;
