//! Rows as token ids, in memory or in a file: what a run reads its batches from.
//!
//! Few rows stay in memory. From [`TokenCache::in_memory`] bytes on they are in a file (`file`), from which a row is read
//! when it is wanted: through the system's page cache, not through a mapping, so that a file that is cut is an error and no
//! signal. Where the data have files and a directory is named, that file is kept there under a `key` of all that decides token
//! ids, and the next run with the same key begins with it. What is not kept has no name, and goes with the process.
//!
//! Held-out rows are in memory: they are few, and measured as a whole.

mod building;
mod bytes;
mod cache;
mod encode;
mod file;
mod key;
mod rows;

pub(crate) use building::{Building, parted};
pub use bytes::{Bytes, Fingerprint};
pub(crate) use cache::Place;
pub use cache::TokenCache;
pub use encode::StoredRow;
pub(crate) use file::{Summary, open};
pub(crate) use key::key;
pub use rows::{RowSource, Rows};
