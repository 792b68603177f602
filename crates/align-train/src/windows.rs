//! The micro-batches of one update: `gradient_accumulation_steps` of them, fewer at the end of an epoch.

use crate::{Batches, Cursor, Error, Result};

/// Groups micro-batches into windows. Reads one micro-batch ahead, to know the last window of an epoch
/// when it is there.
pub(crate) struct Windows<'a, B: Batches> {
    batches: &'a mut B,
    size: usize,
    /// A micro-batch of the current epoch that was read but not used, and where it was read from.
    ahead: Option<(B::Batch, Cursor)>,
}

/// The micro-batches of one update; at least one.
pub(crate) struct Window<T> {
    pub(crate) batches: Vec<T>,
    /// Whether the epoch has no more.
    pub(crate) ends_epoch: bool,
}

impl<'a, B: Batches> Windows<'a, B> {
    pub(crate) fn new(batches: &'a mut B, size: usize) -> Self {
        Self { batches, size, ahead: None }
    }

    /// The next window, of the next epoch if this one is over.
    pub(crate) fn next(&mut self) -> Result<Window<B::Batch>> {
        let mut window: Vec<B::Batch> = self.ahead.take().map(|(batch, _)| batch).into_iter().collect();
        while window.len() < self.size {
            match self.batches.next()? {
                Some(batch) => window.push(batch),
                None if window.is_empty() => return Err(Error::NoData),
                None => return Ok(Window { batches: window, ends_epoch: true }),
            }
        }
        let cursor = self.batches.cursor();
        self.ahead = self.batches.next()?.map(|batch| (batch, cursor));
        Ok(Window { batches: window, ends_epoch: self.ahead.is_none() })
    }

    /// Where the next window begins.
    pub(crate) fn cursor(&self) -> Cursor {
        self.ahead.as_ref().map_or_else(|| self.batches.cursor(), |(_, cursor)| cursor.clone())
    }
}
