//! The micro-batches of one update: `gradient_accumulation_steps` of them on every rank, fewer at the end of an epoch.

use crate::{Batches, Cursor, Error, Ranks, Result};

/// Groups micro-batches into windows, and deals them: of a window's micro-batches a rank has every so-manieth, so that all
/// ranks together make the update of one that has them all. Reads one micro-batch ahead, to know the last window of an epoch
/// when it is there.
pub(crate) struct Windows<'a, B: Batches> {
    batches: &'a mut B,
    /// On all ranks together.
    size: usize,
    ranks: Ranks,
    ahead: Option<Ahead<B::Batch>>,
}

/// A micro-batch of the current epoch that was read but not used: none if it is another rank's.
struct Ahead<T> {
    batch: Option<T>,
    /// Where it was read from.
    cursor: Cursor,
}

/// The micro-batches of one update that are this rank's.
pub(crate) struct Window<T> {
    pub(crate) batches: Vec<T>,
    /// Micro-batches on all ranks; at least one.
    pub(crate) count: usize,
    /// Whether the epoch has no more.
    pub(crate) ends_epoch: bool,
}

impl<'a, B: Batches> Windows<'a, B> {
    pub(crate) fn new(batches: &'a mut B, size: usize, ranks: Ranks) -> Self {
        Self { batches, size, ranks, ahead: None }
    }

    /// The next window, of the next epoch if this one is over.
    pub(crate) fn next(&mut self) -> Result<Window<B::Batch>> {
        let (mut batches, mut count) = (Vec::new(), 0);
        if let Some(ahead) = self.ahead.take() {
            batches.extend(ahead.batch);
            count = 1;
        }
        while count < self.size {
            match self.read(count)? {
                Some(batch) => batches.extend(batch),
                None if count == 0 => return Err(Error::NoData),
                None => return Ok(Window { batches, count, ends_epoch: true }),
            }
            count += 1;
        }
        let cursor = self.batches.cursor();
        self.ahead = self.read(0)?.map(|batch| Ahead { batch, cursor });
        Ok(Window { batches, count, ends_epoch: self.ahead.is_none() })
    }

    /// Where the next window begins, whatever the number of ranks.
    pub(crate) fn cursor(&self) -> Cursor {
        self.ahead.as_ref().map_or_else(|| self.batches.cursor(), |ahead| ahead.cursor.clone())
    }

    /// The micro-batch that is the window's `number`, if the epoch has one more; an inner none if it is another rank's.
    fn read(&mut self, number: usize) -> Result<Option<Option<B::Batch>>> {
        if self.ranks.has(number) {
            return Ok(self.batches.next()?.map(Some));
        }
        Ok(self.batches.pass()?.then_some(None))
    }
}
