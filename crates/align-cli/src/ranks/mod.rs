//! The ranks among which a launcher (`mpirun`, `srun`) started this process: joining them, and ending together, with one
//! message and one exit code.

#[cfg(feature = "mpi")]
mod engine;
mod launched;
#[cfg(feature = "mpi")]
mod threads;
#[cfg(feature = "mpi")]
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;

use align_hub::policy;
use align_train::Ranks;

use crate::audience::Audience;
use crate::run::complain;
#[cfg(feature = "mpi")]
use launched::launched;

pub(crate) use launched::Refused;
#[cfg(feature = "mpi")]
pub(crate) use watch::writes_to;

/// The watch is of processes that a launcher started.
#[cfg(not(feature = "mpi"))]
pub(crate) fn writes_to(_output_dir: &std::path::Path) {}

/// How a program ends.
pub(crate) struct Ended {
    /// Its exit code.
    pub(crate) code: u8,
    /// What is said of it, if it failed.
    pub(crate) message: Option<String>,
    /// Whether it ended because another rank failed.
    pub(crate) by_another: bool,
}

/// A process that has joined its ranks; alone, if it was started so.
pub(crate) struct Joined {
    pub(crate) ranks: Ranks,
    /// How the cores were divided, to be said once somebody listens.
    pub(crate) notice: Option<String>,
    #[cfg(feature = "mpi")]
    engine: Option<engine::Engine>,
}

/// Joins the ranks that the launcher started, and makes the threads of the kernels.
///
/// # Errors
/// Several processes in a program that was built for one; an engine that does not start.
#[cfg(feature = "mpi")]
pub(crate) fn join() -> Result<Joined, Refused> {
    let Some(launched) = launched() else {
        policy::work_beside_the_kernels();
        return Ok(Joined { ranks: Ranks::default(), notice: None, engine: None });
    };
    let (engine, ranks) = engine::Engine::start(&launched)?;
    let notice = threads::divide(&ranks)?;
    Ok(Joined { ranks, notice: Some(notice), engine: Some(engine) })
}

/// The same in a program without MPI.
#[cfg(not(feature = "mpi"))]
pub(crate) fn join() -> Result<Joined, Refused> {
    launched::refuse_several()?;
    policy::work_beside_the_kernels();
    Ok(Joined { ranks: Ranks::default(), notice: None })
}

impl Joined {
    /// Runs the program, and ends with the others.
    pub(crate) fn run(self, program: impl FnOnce(&Self) -> Ended) -> ExitCode {
        if !self.ranks.leads() {
            Audience::Nobody.listens();
        }
        let ended = match catch_unwind(AssertUnwindSafe(|| program(&self))) {
            Ok(ended) => ended,
            Err(panic) => {
                // It has been reported. The others would wait for this rank.
                #[cfg(feature = "mpi")]
                if self.engine.is_some() {
                    engine::abort(101);
                }
                resume_unwind(panic)
            }
        };
        self.end(ended)
    }

    /// Says how the run ended, once, after all ranks have come to their end.
    fn end(self, mut ended: Ended) -> ExitCode {
        match &ended.message {
            Some(message) if !ended.by_another => self.ranks.fails(message),
            Some(_) => {}
            None => {
                if let Err(error) = self.ranks.end() {
                    ended = Ended { code: 1, message: Some(error.to_string()), by_another: true };
                }
            }
        }
        if let (Some(message), true) = (&ended.message, self.ranks.leads()) {
            complain(message);
        }
        // A launcher ends a job with the first process that fails: not before the first rank has spoken, and with its own code.
        let all = self.ranks.part(&(ended.code, ended.by_another)).unwrap_or_default();
        let own = all.iter().find(|(code, by_another)| *code != 0 && !by_another);
        let code = own.or(all.first()).map_or(ended.code, |(code, _)| *code);
        #[cfg(feature = "mpi")]
        drop(self.engine);
        ExitCode::from(code)
    }
}
