//! Ranks: the processes (or threads) that train one model together, each on its share of every update.
//!
//! A [`Collective`] is what carries bytes between them, and all that an engine has to offer; [`Ranks`] is how the rest of
//! the crate speaks to the others: in typed values, with errors that reach everybody. Every call is one that all ranks make,
//! in the same order. Numbers are added in the order of ranks on every engine, so that the same run on the same number of
//! ranks has the same bits.

mod pulse;
mod ranks;
mod threads;

use std::ops::Range;

use crate::Result;

pub use pulse::{Beat, Beats, Pulse};
pub use ranks::Ranks;
pub use threads::threads;

/// An engine that carries bytes and sums between ranks.
pub trait Collective: Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// The number of all ranks.
    fn size(&self) -> usize;

    /// The name of this rank, as a person would look it up: `rank 1 (node7, process 4711)`.
    fn name(&self) -> String {
        format!("rank {}", self.rank())
    }

    /// What every rank brought, in the order of ranks.
    ///
    /// # Errors
    /// A rank that is gone.
    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>>;

    /// The sum over all ranks of the own part of `values` (a reduce-scatter), added in the order of ranks. All bring as many;
    /// the parts follow one another, and `counts` says how many values each rank's has.
    ///
    /// # Errors
    /// A rank that is gone.
    fn sum_parts(&self, values: &[f32], counts: &[usize]) -> Result<Vec<f32>>;

    /// Fills in `values` what the other ranks have as their parts (an all-gather). The parts follow one another, and `counts`
    /// says how many values each rank's has.
    ///
    /// # Errors
    /// A rank that is gone.
    fn gather_parts(&self, values: &mut [f32], counts: &[usize]) -> Result<()>;
}

/// The engine of a process that trains alone.
pub(crate) struct Alone;

impl Collective for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        Ok(vec![own])
    }

    fn sum_parts(&self, values: &[f32], _counts: &[usize]) -> Result<Vec<f32>> {
        Ok(values.to_vec())
    }

    fn gather_parts(&self, _values: &mut [f32], _counts: &[usize]) -> Result<()> {
        Ok(())
    }
}

/// Where a rank's part lies among the values of all.
pub(crate) fn part(counts: &[usize], rank: usize) -> Range<usize> {
    let start = counts[..rank].iter().sum();
    start..start + counts[rank]
}

#[cfg(test)]
mod tests;
