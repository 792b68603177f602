//! Which rank keeps the others waiting: all are as fast as the slowest.

use crate::{Ranks, Result};

/// Updates between two looks.
const UPDATES: usize = 20;
/// What takes less is not worth a word.
const SECONDS: f64 = 10.0;
/// So many times the median is slow.
const SLOW: f64 = 1.5;

/// What each rank has spent on its passes since the last look.
#[derive(Default)]
pub(super) struct Stragglers {
    spent: Vec<f64>,
    updates: usize,
}

impl Stragglers {
    /// Takes account of the seconds that each rank spent on an update, and names a slow one in the log.
    ///
    /// # Errors
    /// A rank that is gone.
    pub(super) fn observe(&mut self, ranks: &Ranks, seconds: &[f64]) -> Result<()> {
        if ranks.is_alone() {
            return Ok(());
        }
        // Every rank has the same numbers, so that all come to the same word.
        let Some((rank, factor)) = self.slow(seconds) else { return Ok(()) };
        let names = ranks.each(ranks.name())?;
        let name = &names[rank];
        tracing::warn!("{name} takes {factor:.1} times as long as the others, which wait for it");
        Ok(())
    }

    /// The slow one, if there is one and it is time to look.
    fn slow(&mut self, seconds: &[f64]) -> Option<(usize, f64)> {
        self.spent.resize(seconds.len(), 0.0);
        self.spent.iter_mut().zip(seconds).for_each(|(spent, seconds)| *spent += seconds);
        self.updates += 1;
        if self.updates < UPDATES || self.spent.iter().sum::<f64>() < SECONDS * seconds.len() as f64 {
            return None;
        }
        let spent = std::mem::take(self).spent;
        let mut sorted = spent.clone();
        sorted.sort_by(f64::total_cmp);
        // Of two the faster one is what the other is measured by.
        let median = sorted[(sorted.len() - 1) / 2];
        let (rank, most) = spent.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        (most > SLOW * median).then_some((rank, most / median))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_that_is_slow_for_long_is_named_and_one_that_is_not_is_left_alone() {
        let mut stragglers = Stragglers::default();
        let mut looks = |seconds: [f64; 3], updates: usize| {
            (0..updates).filter_map(|_| stragglers.slow(&seconds)).collect::<Vec<_>>()
        };
        assert_eq!(looks([1.0, 1.0, 1.0], 40), []);
        let slow = looks([1.0, 2.0, 1.1], 40);
        assert_eq!(slow.len(), 2);
        assert!(
            slow.iter().all(|(rank, factor)| *rank == 1 && (factor - 2.0 / 1.1).abs() < 1e-9),
            "{slow:?}"
        );
        assert_eq!(looks([0.001, 0.1, 0.001], 100), [], "not worth a word");
    }
}
