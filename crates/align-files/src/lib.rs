//! Files that are whole or absent, directories that one run has for itself, and reading within bounds.
//!
//! Everything that a program of this workspace writes for keeps goes through [`write`], [`write_with`] or, where several
//! files belong together, [`Staged`]; where it goes is an [`OutputDir`]; and everything of a size that somebody else decides is
//! read through [`read`]. The crate stands below all others and knows nothing of what is in a file.

mod error;
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

pub use error::{Error, Result};
pub use lock::Lock;
pub use new_file::NewFile;
pub use output_dir::{OutputDir, Scratch, Use, check_writable};
pub use read::{open, read, read_to_string};
pub use resume::Resume;
pub use staged::Staged;
pub use unfinished::{outlives_terminal, remove_unfinished};
pub use write::{create_dir_all, remove, sync_dir, sync_tree, write, write_json, write_with};
