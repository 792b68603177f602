//! The cores of a machine, divided among the ranks that run on it.

use std::num::NonZero;

use align_hub::policy;
use align_train::{Error, Ranks};
use serde::{Deserialize, Serialize};

use super::Refused;

/// Where a rank runs: ranks with the same cores share them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Seat {
    host: String,
    /// The cores that it may use, as the system lists them: `0-3`.
    cores: String,
    threads: usize,
}

/// Makes the threads of the kernels: this rank's part of the cores. Says how many all ranks have.
pub(super) fn divide(ranks: &Ranks) -> Result<String, Refused> {
    let own = Seat {
        host: host(),
        cores: line("/proc/self/status", "Cpus_allowed_list:").unwrap_or_default(),
        threads: std::thread::available_parallelism().map_or(1, NonZero::get),
    };
    let all = ranks
        .each(own.clone())
        .map_err(|error: Error| Refused { message: error.to_string(), rank: ranks.rank() })?;
    let threads = own.threads / all.iter().filter(|seat| **seat == own).count();
    let asked = policy::work_beside_the_kernels_with(threads.max(1));
    let mut hosts: Vec<&str> = all.iter().map(|seat| seat.host.as_str()).collect();
    hosts.dedup();
    let threads = if asked == 1 { "1 thread".to_owned() } else { format!("{asked} threads") };
    Ok(format!("{} ranks on {}, {threads} on this one", ranks.size(), hosts.join(", ")))
}

/// The name of this machine.
pub(super) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this machine".to_owned() } else { name.trim().to_owned() }
}

fn line(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
}
