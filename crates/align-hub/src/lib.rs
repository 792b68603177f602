#![doc = include_str!("../README.md")]

mod address;
mod client;
mod dataset;
mod device;
mod download;
mod error;
mod folder;
mod hash;
mod hub;
mod listing;
mod model;
mod name;
pub mod policy;
mod snapshot;

pub use device::{DeviceChoice, DeviceError, Dtype};
pub use error::HubError;
pub use hub::{Hub, token_cache_from_env};
