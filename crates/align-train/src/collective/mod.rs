//! Ranks: the processes (or threads) that train one model together, each on its share of every update.
//!
//! A [`Collective`] is what carries bytes between them, and all that an engine has to offer; [`Ranks`] is how the rest of
//! the crate speaks to the others: in typed values, with errors that reach everybody. Every call is one that all ranks make,
//! in the same order. Numbers are added in the order of ranks on every engine, so that the same run on the same number of
//! ranks has the same bits.

mod ranks;
mod threads;

use crate::Result;

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

    /// Makes `values` on every rank the sum over all ranks, added in the order of ranks. All bring as many.
    ///
    /// # Errors
    /// A rank that is gone.
    fn sum(&self, values: &mut [f32]) -> Result<()>;
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

    fn sum(&self, _values: &mut [f32]) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
