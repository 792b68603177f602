//! Memory that a process may still take: the least of what the machine has free, what a container allows, and the process's
//! own limits. Read from `/proc` and `/sys` on Linux; elsewhere nothing is known and nothing is refused.

use std::fs;
use std::path::{Path, PathBuf};

/// More bytes than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("needs {needed} bytes of memory, {available} are available")]
pub struct Shortage {
    /// Bytes that were asked for; `u64::MAX` stands for any larger number too.
    pub needed: u64,
    /// Bytes that could still be had.
    pub available: u64,
}

/// Bytes that are never refused: an allocator that keeps its memory may have as many, and nobody counts them.
const SMALL: u64 = 1 << 26;

/// Refuses more bytes than [`available`], where they are many. `None` is a product that is too large for a number of 64 bits.
///
/// # Errors
/// With both numbers.
pub fn check(needed: Option<u64>) -> Result<(), Shortage> {
    let needed = needed.unwrap_or(u64::MAX);
    if needed <= SMALL {
        return Ok(());
    }
    match available() {
        Some(available) if needed > available => Err(Shortage { needed, available }),
        // Where nothing is known of the machine, no machine has this much.
        None if needed > 1 << 56 => Err(Shortage { needed, available: 1 << 56 }),
        _ => Ok(()),
    }
}

/// Bytes that this process may still take before the machine, its container or its own limits refuse; none where the system
/// does not say. What another process takes meanwhile is not known.
pub fn available() -> Option<u64> {
    least(Path::new("/"))
}

/// Below `root`, so that tests can have a machine of their own.
fn least(root: &Path) -> Option<u64> {
    let own = [machine(root), commit(root), address_space(root), container(root)];
    own.into_iter().flatten().min()
}

/// Free memory, what the kernel would give up for it, and swap.
fn machine(root: &Path) -> Option<u64> {
    let info = text(root, "proc/meminfo")?;
    Some(kilobytes(&info, "MemAvailable:")?.saturating_add(kilobytes(&info, "SwapFree:").unwrap_or(0)))
}

/// What is left of the commit limit, where the kernel promises no more than it has (`vm.overcommit_memory` = 2).
fn commit(root: &Path) -> Option<u64> {
    if text(root, "proc/sys/vm/overcommit_memory")?.trim() != "2" {
        return None;
    }
    let info = text(root, "proc/meminfo")?;
    Some(kilobytes(&info, "CommitLimit:")?.saturating_sub(kilobytes(&info, "Committed_AS:")?))
}

/// What is left below `ulimit -v` and `ulimit -d`.
fn address_space(root: &Path) -> Option<u64> {
    let (limits, status) = (text(root, "proc/self/limits")?, text(root, "proc/self/status")?);
    let left = |limit: &str, used: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(limit))?;
        let most: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(most.saturating_sub(kilobytes(&status, used)?))
    };
    let both = [left("Max address space", "VmSize:"), left("Max data size", "VmData:")];
    both.into_iter().flatten().min()
}

/// What is left in the control group and those around it, of either version.
fn container(root: &Path) -> Option<u64> {
    let groups = text(root, "proc/self/cgroup")?;
    let left = |line: &str| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        let (mount, most, used) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max", "memory.current"),
            names if names.split(',').any(|name| name == "memory") => {
                ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes")
            }
            _ => return None,
        };
        let group = group.trim_start_matches('/');
        let places = Path::new(group).ancestors().map(|place| PathBuf::from(mount).join(place));
        let rest = |place: PathBuf| {
            let value = |name: &str| text(root, place.join(name))?.trim().parse::<u64>().ok();
            // The files that are cached for the group count as used and are given up first.
            let files = text(root, place.join("memory.stat")).and_then(|stat| cached(&stat)).unwrap_or(0);
            Some(value(most)?.saturating_sub(value(used)?.saturating_sub(files)))
        };
        places.filter_map(rest).min()
    };
    groups.lines().filter_map(left).min()
}

fn cached(stat: &str) -> Option<u64> {
    let value =
        |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Some(value("inactive_file ")?.saturating_add(value("active_file ").unwrap_or(0)))
}

/// The number after `name` in a file of `/proc`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn text(root: &Path, path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: &str = "MemTotal:  99 kB\nMemAvailable:   1000 kB\nSwapFree:  24 kB\nCommitLimit:  900 kB\nCommitted_AS: 400 kB\n";

    /// A machine that consists of these files.
    fn left(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        least(root.path())
    }

    #[test]
    fn the_machine_has_what_is_free_and_its_swap() {
        assert_eq!(left(&[("proc/meminfo", MEMORY)]), Some(1024 << 10));
        assert_eq!(left(&[]), None);
    }

    #[test]
    fn promises_are_counted_where_the_kernel_keeps_them() {
        let with = |mode| left(&[("proc/meminfo", MEMORY), ("proc/sys/vm/overcommit_memory", mode)]);
        assert_eq!((with("0\n"), with("2\n")), (Some(1024 << 10), Some(500 << 10)));
    }

    #[test]
    fn limits_of_the_process_are_less_what_it_has() {
        let limits = "Max data size             819200    unlimited   bytes\n\
                      Max address space         unlimited unlimited   bytes\n";
        let status = "VmPeak:  9 kB\nVmSize:  500 kB\nVmData:    300 kB\n";
        let with = |limits| {
            left(&[("proc/meminfo", MEMORY), ("proc/self/limits", limits), ("proc/self/status", status)])
        };
        assert_eq!(with(limits), Some(500 << 10));
        assert_eq!(with("Max address space   614400   614400   bytes\n"), Some(100 << 10));
    }

    #[test]
    fn the_tightest_group_counts_and_its_cached_files_do_not() {
        let files = [
            ("proc/meminfo", MEMORY),
            ("proc/self/cgroup", "1:cpu:/x\n0::/job/step\n"),
            ("sys/fs/cgroup/job/memory.max", "900000\n"),
            ("sys/fs/cgroup/job/memory.current", "800000\n"),
            ("sys/fs/cgroup/job/memory.stat", "anon 1\ninactive_file 300000\nactive_file 100000\n"),
            ("sys/fs/cgroup/job/step/memory.max", "max\n"),
            ("sys/fs/cgroup/job/step/memory.current", "5\n"),
        ];
        assert_eq!(left(&files), Some(500_000));
        let old = [
            ("proc/self/cgroup", "4:memory,x:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "700\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "200\n"),
        ];
        assert_eq!(left(&old), Some(500));
    }

    #[test]
    fn what_no_machine_has_is_refused_with_both_numbers() {
        let error = check(None).unwrap_err();
        assert_eq!(error.needed, u64::MAX);
        assert!(error.to_string().starts_with("needs 18446744073709551615 bytes of memory, "), "{error}");
        assert_eq!(check(Some(1 << 20)), Ok(()));
    }
}
