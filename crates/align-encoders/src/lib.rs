#![doc = include_str!("../README.md")]

mod config;
mod encoder;
mod error;
mod weights;

pub use config::is_encoder;
pub use encoder::Encoder;
pub use error::{Error, Result};
