#![doc = include_str!("../README.md")]

mod error;
mod file;
mod header;
mod kind;
mod metadata;
mod tokenizer;
mod write;

pub use error::{Error, Result};
pub use file::{EXTENSION, GgufFile, numbers};
pub use header::TensorInfo;
pub use kind::Kind;
pub use metadata::{Metadata, Value};
pub use tokenizer::{tokenizer_fields, tokenizer_files};
pub use write::{Field, Fields, GgufWriter};
