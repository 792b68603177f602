#![doc = include_str!("../README.md")]

mod error;
mod hash;
mod lock;
mod new_file;
mod output_dir;
mod read;
mod resume;
mod scratch;
mod staged;
mod unfinished;
mod write;
mod written;
pub mod yaml;

pub use error::{Error, Result};
pub use hash::{hex, size_and_sha256};
pub use lock::Lock;
pub use new_file::{NewFile, unnamed_in};
pub use output_dir::{OutputDir, Scratch, Use, check_writable};
pub use read::{open, read, read_to_string};
pub use resume::Resume;
pub use staged::Staged;
pub use unfinished::{Unfinished, outlives_terminal, remove_unfinished};
pub use write::{create_dir_all, remove, sync_dir, sync_tree, write, write_json, write_with};
