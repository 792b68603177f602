//! The head and the tail that every training program has: what is opened before a method can say what it
//! needs, and what happens once it has said so. What stands between them in a binary is the method.
//!
//! For binaries only. A method's crate knows neither command lines nor directories.

mod opening;
mod tokenizers;
mod training;

pub use opening::Opening;
pub use tokenizers::check_tokenizer;
pub use training::{Fixed, Trained, Training, publish, start, unresumable};
