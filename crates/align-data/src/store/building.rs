//! Training rows as they come: kept in memory, and in a file as soon as they are many.

use std::path::Path;
use std::sync::Arc;

use super::bytes::Fingerprint;
use super::cache::Place;
use super::encode::StoredRow;
use super::file::{Summary, Writing, chosen_first};
use super::rows::{Kind, Rows};
use crate::error::Result;
use crate::record::Text;

/// Bytes of a row in memory beside its tokens, about.
const ROW: usize = 200;

/// Rows as they come.
pub(crate) struct Building<'a, T> {
    place: &'a dyn Fn() -> Result<Place>,
    /// The files that rows come from.
    origins: &'a [Arc<Path>],
    in_memory: usize,
    bytes: usize,
    held: Vec<T>,
    /// The file, and its key.
    file: Option<(Writing, String)>,
    /// Tokens of the longest sequence, and a hash of the rows, as long as they come in their order.
    longest: usize,
    hash: Option<Fingerprint>,
}

impl<'a, T: StoredRow> Building<'a, T> {
    pub(crate) fn new(
        place: &'a dyn Fn() -> Result<Place>,
        origins: &'a [Arc<Path>],
        in_memory: usize,
    ) -> Self {
        let hash = Some(Fingerprint::default());
        Self { place, origins, in_memory, bytes: 0, held: Vec::new(), file: None, longest: 0, hash }
    }

    /// Appends rows.
    pub(crate) fn extend(&mut self, rows: Vec<T>) -> Result<()> {
        for row in &rows {
            self.longest = self.longest.max(row.longest());
            self.hash.iter_mut().for_each(|hash| row.add_to(hash));
        }
        if let Some((file, _)) = &mut self.file {
            return rows.iter().try_for_each(|row| file.train(row));
        }
        self.bytes += rows.iter().map(|row| 4 * row.tokens() + ROW).sum::<usize>();
        self.held.extend(rows);
        if self.bytes > self.in_memory {
            let place = (self.place)()?;
            let mut file = Writing::begin(place.create()?, self.origins)?;
            std::mem::take(&mut self.held).iter().try_for_each(|row| file.train(row))?;
            self.file = Some((file, place.key));
        }
        Ok(())
    }

    /// Puts the answers of pairs, of which there are so many, into their order: the chosen ones first. They came pair by pair.
    pub(crate) fn part_pairs(&mut self, pairs: usize) {
        self.hash = None;
        match &mut self.file {
            None => self.held = parted(std::mem::take(&mut self.held), pairs),
            Some((file, _)) => chosen_first(&mut file.index, pairs),
        }
    }

    /// The rows, and what `summary` says of them by their key, their hash and the tokens of the longest sequence, which is kept for the
    /// next run with held-out rows and the prompts of their records.
    pub(crate) fn finish(
        self,
        (held_out, prompts): (&[T], &[Text]),
        summary: impl FnOnce(String, String, usize) -> Summary,
    ) -> Result<(Rows<T>, Summary)> {
        let Self { held, file, longest, hash, .. } = self;
        let hashed = |rows: &Rows<T>| -> Result<String> {
            Ok(match hash {
                Some(hash) => hash.hex(),
                None => {
                    let mut hash = Fingerprint::default();
                    rows.iter().try_for_each(|row| row.map(|row| row.add_to(&mut hash)))?;
                    hash.hex()
                }
            })
        };
        let longest = held_out.iter().map(T::longest).max().unwrap_or(0).max(longest);
        let Some((mut file, key)) = file else {
            let rows = Rows(Kind::Held(held));
            let summary = summary(String::new(), hashed(&rows)?, longest);
            return Ok((rows, summary));
        };
        let rows = Rows(Kind::Stored(file.rows()?));
        let summary = summary(key, hashed(&rows)?, longest);
        file.finish(held_out, prompts, &summary)?;
        Ok((rows, summary))
    }
}

/// Rows of pairs with the chosen answers first.
pub(crate) fn parted<T: StoredRow>(rows: Vec<T>, pairs: usize) -> Vec<T> {
    let renumbered = rows.into_iter().map(|row| {
        let record = place_of(row.row(), pairs);
        row.with_row(record)
    });
    let mut rows: Vec<T> = renumbered.collect();
    rows.sort_by_key(T::row);
    rows
}

/// The place of an answer among all: that of a record that was read as the answer of one of so many pairs.
pub(super) fn place_of(record: usize, pairs: usize) -> usize {
    record / 2 + if record.is_multiple_of(2) { 0 } else { pairs }
}
