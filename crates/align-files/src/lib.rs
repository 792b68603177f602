//! Files that are whole or absent, locks that die with their process, and reading within bounds.
//!
//! Everything that a program of this workspace writes for keeps goes through [`write`] or [`write_with`], and everything of
//! a size that somebody else decides is read through [`read`]. The crate stands below all others and knows nothing of
//! what is in a file.

mod error;
mod lock;
mod new_file;
mod read;
mod write;

pub use error::{Error, Result};
pub use lock::Lock;
pub use new_file::NewFile;
pub use read::{open, read, read_to_string};
pub use write::{create_dir_all, remove, sync_dir, write, write_with};
