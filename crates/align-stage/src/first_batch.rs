//! The first micro-batch as a user reads it: what `--inspect` shows, and every run keeps.

use std::fmt::Display;

use align_data::{MaskStyle, MicroBatches};

use crate::{Event, Look, Opening, Result};

/// The first micro-batch as text, what is learned between `⟦` and `⟧`.
pub(crate) const FIRST_BATCH_FILE: &str = "first_batch.txt";

impl Opening<'_> {
    /// Shows the first micro-batch if that is what the job was run for; then there is nothing more to do. Otherwise a run
    /// keeps it for its directory.
    ///
    /// # Errors
    /// What `show` returns.
    pub fn looked<D: Display>(
        &self,
        order: &MicroBatches,
        show: impl Fn(usize, MaskStyle) -> align_data::Result<D>,
    ) -> Result<bool> {
        let rows = order.clone().next_batch().unwrap_or_default().into_iter();
        let looks = self.host.look == Look::AtABatch;
        if looks {
            for row in rows {
                self.host.tell(Event::Row(&show(row, MaskStyle::of_stdout())?))?;
            }
        } else if self.host.trains() {
            let shown = rows.map(|row| Ok(format!("{}\n", show(row, MaskStyle::Brackets)?)));
            let shown = shown.collect::<align_data::Result<String>>()?;
            self.first_batch.get_or_init(|| shown);
        }
        Ok(looks)
    }
}
