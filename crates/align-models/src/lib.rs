//! Trainable decoders: parameters, packing, loading and saving, sequence log-probs, generation.
//!
//! candle-transformers' models cannot be trained: they call fused ops without backward, and their
//! gradients vanish without an error. The decoder here is made of `align-kernels`' ops. A model returns
//! hidden states; heads are small separate things over one backbone. Weights come in three ways
//! (tracked, view, frozen: see [`align_kernels::Params`]) and the model does not know which it has.
//!
//! In the order data flows: [`ModelDir`] (files) → [`DecoderConfig`] → [`Packed`] (tokens without
//! padding, prompts shared) → [`Decoder`] → [`CausalLm`] → [`Reference`] and [`generation`].

mod architectures;
mod causal_lm;
mod config;
mod decoder;
mod divergence;
mod error;
pub mod generation;
mod initialise;
mod model_dir;
mod packing;
mod reference;
mod weights;

pub use causal_lm::CausalLm;
pub use config::{DecoderConfig, RopeScaling};
pub use decoder::{Decoder, KeyValues, OwnKeyValues};
pub use divergence::{Divergence, divergence};
pub use error::{Error, Result};
pub use initialise::random_weights;
pub use model_dir::ModelDir;
pub use packing::{Packed, Stream, Targets};
pub use reference::{LogProbCache, Reference, weights_hash};
