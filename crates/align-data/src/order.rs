//! The order rows are visited in, and where training stands in it.
//!
//! The order of an epoch is a function of the seed and the epoch's number alone. It does not depend on
//! earlier epochs, on the batch size or on where a run was resumed, so a cursor of two numbers is enough to
//! continue exactly where a checkpoint stopped.

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How the rows of an epoch are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, align_options::Choice)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum SamplingStrategy {
    /// Shuffled anew every epoch.
    #[default]
    Random,
    /// As in the file.
    Sequential,
    /// Shuffled, then sorted by length within each fifty updates or so, the longest first: transformers' way to pad less. Here
    /// nothing is padded; what it gives is micro-batches of rows of like length.
    GroupByLength,
}

/// The place that reading has reached: the next row is number `position` of epoch `epoch`, both counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The epoch.
    pub epoch: usize,
    /// Rows of the epoch already handed out.
    pub position: usize,
}

/// The order of every epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Shuffled or not.
    pub strategy: SamplingStrategy,
    /// The seed of the shuffle, beside the epoch.
    pub seed: u64,
}

impl Order {
    /// The indices `0..items` in the order of an epoch. Grouping by length goes on from here with what it knows of them.
    pub fn epoch(&self, items: usize, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..items).collect();
        self.shuffle(&mut order, epoch, 0);
        order
    }

    /// Shuffles what belongs to an epoch, unless it is to stay as it is. Things of one epoch have a stream each.
    pub(crate) fn shuffle<T>(&self, items: &mut [T], epoch: usize, stream: u64) {
        if self.strategy == SamplingStrategy::Sequential {
            return;
        }
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&(epoch as u64).to_le_bytes());
        key[16..24].copy_from_slice(&stream.to_le_bytes());
        items.shuffle(&mut ChaCha8Rng::from_seed(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_and_seeds_differ_and_repeat() {
        let order = |seed, epoch| Order { strategy: SamplingStrategy::Random, seed }.epoch(50, epoch);
        assert_eq!(order(7, 3), order(7, 3));
        assert_ne!(order(7, 3), order(7, 4));
        assert_ne!(order(7, 3), order(8, 3));
        let mut rows = order(7, 3);
        rows.sort_unstable();
        assert_eq!(rows, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn the_shuffle_is_the_same_on_every_machine_and_version() {
        let order = Order { strategy: SamplingStrategy::Random, seed: 42 };
        assert_eq!(order.epoch(8, 0), [5, 7, 4, 2, 6, 1, 0, 3]);
    }

    #[test]
    fn sequential_is_the_files_order() {
        assert_eq!(Order { strategy: SamplingStrategy::Sequential, seed: 1 }.epoch(3, 9), [0, 1, 2]);
    }
}
