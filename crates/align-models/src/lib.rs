#![doc = include_str!("../README.md")]

mod adapter;
mod architectures;
mod carried;
mod causal_lm;
mod decoder;
mod divergence;
mod error;
pub mod footprint;
pub mod generation;
mod gguf;
mod initialise;
mod layer;
mod model;
mod model_dir;
mod neftune;
mod packing;
mod plan;
mod reference;
mod resize;
mod reward_dir;
mod reward_model;
mod weights;

pub use adapter::{AdapterPlan, LoraConfig, LoraStart, Modules};
pub use causal_lm::CausalLm;
pub use decoder::{Decoder, KeyValues};
pub use divergence::{Divergence, divergence};
pub use error::{Error, Result};
pub use gguf::GgufType;
pub use initialise::random_weights;
pub use model::Model;
pub use model_dir::ModelDir;
pub use neftune::Neftune;
pub use packing::{Packed, Stream, Targets};
pub use plan::{
    AttentionPlan, DecoderConfig, HeadPlan, Init, LayerPlan, LinearPlan, MlpPlan, NormPlan, QueryScaling,
    RopeScaling, Rotary, StoredParam, StoredTensor,
};
pub use reference::{LogProbCache, LogProbFile, Reference, weights_hash};
pub use reward_dir::PadToken;
pub use reward_model::{RewardHead, RewardModel, RewardScorer};
pub use weights::{Quantisation, SavedDtype, SavedFormat, WeightBytes};
