//! Greedy and sampled completions with a key-value cache.
//!
//! Sequences that are complete leave the batch at once and others enter. All of a pass is one packed
//! stream: the newest token of every sequence underway and the prompts that arrive, each prompt once for
//! all its completions. A sequence's text depends on its prompt, the seed and its number alone, not on
//! what it was batched with: each has a random stream of its own. (Matrix products of other sizes may
//! round a logit otherwise in its last digits; a text changes only where that decides between tokens.)

mod cache;
mod decode;
mod groups;
mod options;
mod rows;
mod sampler;
mod sampling;
mod sequence;
mod softmax;
mod underway;

pub use decode::{Streams, check_completions, generate, generate_groups, generate_in_batches};
pub use options::GenerationOptions;
pub use sampler::{Sampled, Sampler};
pub use sequence::Completion;
