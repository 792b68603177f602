//! Ranks that are threads of one process: for tests, and for whoever has no engine but wants to see it work.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Collective, Ranks, part};
use crate::{Error, Result};

/// So many ranks, one for each thread. A rank that is dropped is gone: whoever waits for it gets an error.
pub fn threads(count: usize) -> Vec<Ranks> {
    let room = Arc::new(Room { state: Mutex::new(State::new(count)), changed: Condvar::new() });
    (0..count).map(|rank| Ranks::over(Thread { rank, count, room: Arc::clone(&room) })).collect()
}

struct Thread {
    rank: usize,
    count: usize,
    room: Arc<Room>,
}

/// Where the threads meet.
struct Room {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    brought: Vec<Option<Vec<u8>>>,
    /// What all brought, while it is being taken, and how many have yet to.
    complete: Option<(Arc<Vec<Vec<u8>>>, usize)>,
    gone: Option<usize>,
}

impl State {
    fn new(count: usize) -> Self {
        Self { brought: vec![None; count], complete: None, gone: None }
    }
}

impl Thread {
    /// A state is whole between any two statements.
    fn state(&self) -> MutexGuard<'_, State> {
        self.room.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready`, or somebody is gone who is still waited for.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        ready: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'a, State>> {
        while !ready(&state) {
            if let Some(rank) = state.gone {
                return Err(Error::rank(rank, "is gone"));
            }
            state = self.room.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(state)
    }

    fn exchange(&self, own: Vec<u8>) -> Result<Arc<Vec<Vec<u8>>>> {
        // The round before may not have been taken by all.
        let mut state = self.wait(self.state(), |state| state.complete.is_none())?;
        state.brought[self.rank] = Some(own);
        if state.brought.iter().all(Option::is_some) {
            let all = state.brought.iter_mut().filter_map(Option::take).collect();
            state.complete = Some((Arc::new(all), self.count));
            self.room.changed.notify_all();
        }
        let mut state = self.wait(state, |state| state.complete.is_some())?;
        let (all, left) = state.complete.take().expect("waited for");
        if left > 1 {
            state.complete = Some((Arc::clone(&all), left - 1));
        }
        self.room.changed.notify_all();
        Ok(all)
    }
}

impl Collective for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.count
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.exchange(own).map(|all| all.to_vec())
    }

    fn sum_parts(&self, values: &[f32], counts: &[usize]) -> Result<Vec<f32>> {
        let all = self.exchange(values.iter().flat_map(|value| value.to_le_bytes()).collect())?;
        let own = part(counts, self.rank);
        let mut sums = vec![0f32; own.len()];
        for (rank, bytes) in all.iter().enumerate() {
            let values = floats(bytes).skip(own.start).take(own.len());
            if bytes.len() != 4 * counts.iter().sum::<usize>() {
                return Err(Error::rank(rank, "brought another number of values to a sum; this is a bug"));
            }
            match rank {
                0 => sums.iter_mut().zip(values).for_each(|(sum, value)| *sum = value),
                _ => sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value),
            }
        }
        Ok(sums)
    }

    fn gather_parts(&self, values: &mut [f32], counts: &[usize]) -> Result<()> {
        let own = &values[part(counts, self.rank)];
        let all = self.exchange(own.iter().flat_map(|value| value.to_le_bytes()).collect())?;
        for (rank, bytes) in all.iter().enumerate() {
            if bytes.len() != 4 * counts[rank] {
                return Err(Error::rank(
                    rank,
                    "brought another number of values than its part has; this is a bug",
                ));
            }
            values[part(counts, rank)].iter_mut().zip(floats(bytes)).for_each(|(value, it)| *value = it);
        }
        Ok(())
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("four")))
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.state().gone.get_or_insert(self.rank);
        self.room.changed.notify_all();
    }
}
