//! The memory that pages may take until the next rows are asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Result;

/// Bytes of pages that a batch of rows may lie in, those of all its columns together.
const MOST: u64 = 1 << 30;

/// The memory that pages may take, shared by the columns of a row group.
///
/// A row may be spread over any number of pages, and a packed page takes a thousandth of its size in the file.
#[derive(Default)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    /// Begins anew: the rows before are done with.
    pub(super) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Takes memory for a page.
    pub(super) fn spend(&self, bytes: u64) -> Result<()> {
        let spent = self.0.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if spent > MOST {
            return Err(format!(
                "more than {} MiB of pages for a few rows, which is the most that is read; write it with smaller pages \
                 or row groups",
                MOST >> 20
            ));
        }
        Ok(())
    }
}
