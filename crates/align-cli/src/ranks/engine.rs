//! MPI as the engine of ranks. It carries bytes; what is added is added here, in the order of ranks, whatever way a library
//! of MPI would choose for a sum.

use std::time::Duration;

use align_train::{Collective, Error, Ranks, Result};
use mpi::Threading;
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::request::{Request, Scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

use super::launched::{Launched, Refused};
use super::threads;
use super::watch::{self, Watch};

/// MPI, started. Dropped, it is ended.
pub(crate) struct Engine {
    // In this order: whoever watches speaks MPI.
    watch: Option<Watch>,
    _universe: Universe,
}

/// All processes of the job.
struct World {
    rank: usize,
    size: usize,
    name: String,
}

impl Engine {
    /// Starts MPI, and watches over the other ranks.
    pub(super) fn start(launched: &Launched) -> Result<(Self, Ranks), Refused> {
        let rank = launched.rank;
        let refused = |message: String| Refused { message, rank };
        let (universe, threading) = mpi::initialize_with_threading(Threading::Multiple)
            .ok_or_else(|| refused("MPI was started twice; this is a bug".to_owned()))?;
        let world = universe.world();
        let (rank, size) = (world.rank().unsigned_abs() as usize, world.size().unsigned_abs() as usize);
        if size != launched.size {
            return Err(refused(format!(
                "the launcher says {}, and MPI that there are {size} processes: the program was built with another MPI than \
                 the launcher is of; build it with that one",
                launched.says
            )));
        }
        let process = std::process::id();
        let name = format!("rank {rank} ({}, process {process})", threads::host());
        let ranks = Ranks::over(World { rank, size, name });
        let names = ranks.each(ranks.name()).map_err(|error: Error| refused(error.to_string()))?;
        if threading < Threading::Multiple {
            return Err(refused(
                "this MPI cannot be used by two threads of a process (MPI_THREAD_MULTIPLE), without which a rank that \
                 hangs is not found; use one that can"
                    .to_owned(),
            ));
        }
        let patience = watch::patience().map_err(refused)?;
        Ok((Self { watch: Some(Watch::over(names, &ranks, patience)), _universe: universe }, ranks))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.watch.take());
    }
}

/// Ends all processes of the job at once.
pub(super) fn abort(code: i32) -> ! {
    SimpleCommunicator::world().abort(code)
}

impl Collective for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn gather(&self, own: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let world = SimpleCommunicator::world();
        let (length, mut lengths) = (own.len() as u64, vec![0u64; self.size]);
        mpi::request::scope(|scope| wait(world.immediate_all_gather_into(scope, &length, &mut lengths[..])));
        let total: u64 = lengths.iter().sum();
        if total > i32::MAX as u64 {
            return Err(Error::rank(self.rank, format!("{total} bytes are more than MPI takes at once")));
        }
        let counts: Vec<usize> = lengths.iter().map(|&length| length as usize).collect();
        let mut all = vec![0u8; total as usize];
        {
            let mut parts = PartitionMut::new(&mut all[..], numbers(&counts), starts(&counts));
            mpi::request::scope(|scope| {
                wait(world.immediate_all_gather_varcount_into(scope, &own[..], &mut parts));
            });
        }
        let mut rest = &all[..];
        let part = |&length: &u64| {
            let (part, others) = rest.split_at(length as usize);
            rest = others;
            part.to_vec()
        };
        Ok(lengths.iter().map(part).collect())
    }

    fn sum_parts(&self, values: &[f32], counts: &[usize]) -> Result<Vec<f32>> {
        let world = SimpleCommunicator::world();
        let own = counts[self.rank];
        let mut received = vec![0f32; own * self.size];
        {
            let parts = Partition::new(values, numbers(counts), starts(counts));
            let from = vec![own; self.size];
            let mut into = PartitionMut::new(&mut received[..], numbers(&from), starts(&from));
            mpi::request::scope(|scope| {
                wait(world.immediate_all_to_all_varcount_into(scope, &parts, &mut into));
            });
        }
        for rank in 1..self.size {
            let (sums, of_rank) = received.split_at_mut(rank * own);
            sums[..own].iter_mut().zip(&of_rank[..own]).for_each(|(sum, value)| *sum += value);
        }
        received.truncate(own);
        received.shrink_to_fit();
        Ok(received)
    }

    fn gather_parts(&self, values: &mut [f32], counts: &[usize]) -> Result<()> {
        let world = SimpleCommunicator::world();
        let start: usize = counts[..self.rank].iter().sum();
        let own = values[start..start + counts[self.rank]].to_vec();
        let mut parts = PartitionMut::new(values, numbers(counts), starts(counts));
        mpi::request::scope(|scope| {
            wait(world.immediate_all_gather_varcount_into(scope, &own[..], &mut parts));
        });
        Ok(())
    }
}

/// Numbers as MPI has them. Whoever sends more at once than they hold is cut up before (`gather` refuses it).
fn numbers(counts: &[usize]) -> Vec<i32> {
    counts.iter().map(|&count| count as i32).collect()
}

fn starts(counts: &[usize]) -> Vec<i32> {
    counts.iter().scan(0, |end, count| Some(std::mem::replace(end, *end + *count as i32))).collect()
}

/// Waits without holding the core that another rank may need.
fn wait<'a, D: ?Sized, S: Scope<'a>>(mut request: Request<'a, D, S>) {
    const PATIENCE: usize = 2000;
    for asked in 0.. {
        match request.test() {
            Ok(_) => return,
            Err(again) => request = again,
        }
        match asked {
            0..PATIENCE => std::thread::yield_now(),
            _ => std::thread::sleep(Duration::from_micros(100)),
        }
    }
}
