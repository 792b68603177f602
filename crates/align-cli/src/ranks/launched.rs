//! What a launcher says in the environment of the processes that it starts.

use std::process::ExitCode;

use crate::run::refuse;

/// Open MPI's `mpirun`, MPICH's, and Slurm's `srun`: number of processes, and which of them this is.
const LAUNCHERS: [(&str, &str); 3] = [
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
];

/// A process among several.
pub(crate) struct Launched {
    /// The variable that says so, with its value.
    pub(crate) says: String,
    /// The number of this process, from 0.
    pub(crate) rank: usize,
    /// The number of all.
    #[cfg_attr(not(feature = "mpi"), expect(dead_code, reason = "MPI is what it is compared with"))]
    pub(crate) size: usize,
}

/// A program that does not begin. One process of all says why.
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) rank: usize,
}

impl Refused {
    /// Says it, and ends.
    pub(crate) fn end(self) -> ExitCode {
        match self.rank {
            0 => refuse(&self.message),
            // With an error of its own it could end the job before the first one has spoken.
            _ => ExitCode::SUCCESS,
        }
    }
}

/// What the launcher says, if it started several processes.
pub(crate) fn launched() -> Option<Launched> {
    by(|name| std::env::var(name).ok())
}

fn by(variable: impl Fn(&str) -> Option<String>) -> Option<Launched> {
    LAUNCHERS.into_iter().find_map(|(size, rank)| {
        let number = |name| variable(name)?.trim().parse::<usize>().ok();
        let count = number(size).filter(|&count| count > 1)?;
        Some(Launched { says: format!("{size}={count}"), rank: number(rank).unwrap_or(0), size: count })
    })
}

/// Refuses several processes: each would train a model of its own, into the same directory.
#[cfg(not(feature = "mpi"))]
pub(crate) fn refuse_several() -> Result<(), Refused> {
    let Some(Launched { says, rank, .. }) = launched() else { return Ok(()) };
    let message = format!(
        "started as one of several processes ({says}), and this program was built without MPI, so that each would train by \
         itself; build it with `--features mpi` (docs/scaling.md), or start one process"
    );
    Err(Refused { message, rank })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_processes_are_known_by_what_their_launcher_says() {
        let env = |of: &'static [(&str, &str)]| {
            by(move |name| of.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned()))
        };
        let found = env(&[("OMPI_COMM_WORLD_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "3")]).unwrap();
        assert_eq!((found.says.as_str(), found.rank), ("OMPI_COMM_WORLD_SIZE=4", 3));
        assert_eq!(env(&[("SLURM_STEP_NUM_TASKS", "2"), ("SLURM_PROCID", "1")]).unwrap().rank, 1);
        for one in [&[("OMPI_COMM_WORLD_SIZE", "1")] as &'static [_], &[("PMI_SIZE", "two")], &[]] {
            assert!(env(one).is_none());
        }
    }
}
