//! The pulse of a rank, by which others see that it gets on: a process can be alive whose work stands still.
//!
//! Only updates are watched. What else takes long (loading, evaluation, saving, sampling) has no time that it should take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The pulse of this rank. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    moves: AtomicU64,
    calls: AtomicU64,
    updates: AtomicBool,
    waits: AtomicBool,
}

/// A beat: how far a rank is at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Grows with every micro-batch, and with whatever is exchanged.
    pub moves: u64,
    /// The calls so far that all ranks take part in, the one under way too. All make the same ones.
    pub calls: u64,
    /// Whether the rank is at an update.
    pub updates: bool,
    /// Whether it waits for others.
    pub waits: bool,
}

impl Pulse {
    /// How far the rank is.
    pub fn beat(&self) -> Beat {
        let Signs { moves, calls, updates, waits } = &*self.0;
        let [moves, calls] = [moves, calls].map(|it| it.load(Ordering::Relaxed));
        let [updates, waits] = [updates, waits].map(|it| it.load(Ordering::Relaxed));
        Beat { moves, calls, updates, waits }
    }

    /// Says that the rank got on.
    pub(crate) fn moves(&self) {
        self.0.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// An update, to its end.
    pub(crate) fn during_update<T>(&self, update: impl FnOnce() -> T) -> T {
        self.during(&self.0.updates, update)
    }

    /// A call that others take part in, to its end.
    pub(crate) fn while_waiting<T>(&self, call: impl FnOnce() -> T) -> T {
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        self.during(&self.0.waits, call)
    }

    fn during<T>(&self, sign: &AtomicBool, work: impl FnOnce() -> T) -> T {
        self.moves();
        sign.store(true, Ordering::Relaxed);
        let done = work();
        sign.store(false, Ordering::Relaxed);
        self.moves();
        done
    }
}

/// The beats of all ranks, and since when each is the same.
pub struct Beats(Vec<(Beat, Instant)>);

impl Beats {
    /// Nothing heard yet of so many ranks.
    pub fn of(ranks: usize, now: Instant) -> Self {
        Self(vec![(Beat::default(), now); ranks])
    }

    /// Takes account of a beat.
    pub fn heard(&mut self, rank: usize, beat: Beat, now: Instant) {
        if let Some(known) = self.0.get_mut(rank).filter(|known| known.0 != beat) {
            *known = (beat, now);
        }
    }

    /// The rank that has stood still in an update for so long while others waited all the time: at work, or in a call that those
    /// who wait have come out of, and so have had its part of.
    pub fn stuck(&self, now: Instant, patience: Duration) -> Option<usize> {
        let still = |(_, since): &(Beat, Instant)| now.duration_since(*since) > patience;
        let waiting = self.0.iter().filter(|known| known.0.waits && still(known));
        let furthest = waiting.map(|known| known.0.calls).max()?;
        let stands = |known: &(Beat, Instant)| {
            known.0.updates && still(known) && (!known.0.waits || known.0.calls < furthest)
        };
        self.0.iter().position(stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_that_stands_still_in_an_update_is_found_if_others_wait_for_it() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let patience = Duration::from_secs(60);
        let beat = |moves, updates, waits| Beat { moves, calls: 3, updates, waits };
        let mut beats = Beats::of(3, start);
        for rank in 0..3 {
            beats.heard(rank, beat(7, true, rank != 1), at(1));
        }
        assert_eq!((beats.stuck(at(50), patience), beats.stuck(at(62), patience)), (None, Some(1)));
        // It gets on, micro-batch by micro-batch.
        beats.heard(1, beat(8, true, false), at(40));
        assert_eq!((beats.stuck(at(62), patience), beats.stuck(at(101), patience)), (None, Some(1)));
        // Evaluation has the time that it takes.
        beats.heard(1, beat(9, false, false), at(110));
        assert_eq!(beats.stuck(at(9999), patience), None);
        // All are as slow: nobody waits.
        for rank in 0..3 {
            beats.heard(rank, beat(10, true, false), at(10_000));
        }
        assert_eq!(beats.stuck(at(20_000), patience), None);
        // All wait for all: that is the engine's, not a rank's.
        for rank in 0..3 {
            beats.heard(rank, beat(11, true, true), at(20_000));
        }
        assert_eq!(beats.stuck(at(30_000), patience), None);
        // But not if the others are past the call that it is in.
        for rank in [0, 2] {
            beats.heard(rank, Beat { calls: 4, ..beat(12, true, true) }, at(30_000));
        }
        assert_eq!((beats.stuck(at(30_050), patience), beats.stuck(at(30_070), patience)), (None, Some(1)));
    }
}
