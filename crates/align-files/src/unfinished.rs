//! What a process would leave behind if a signal ended it now: temporaries, and the locks of directories.
//!
//! What drops such a thing removes it, but a process that a signal ends drops nothing. Who listens to signals calls
//! [`remove_unfinished`] before it lets the process end. Of a process that is killed outright they stay, and the next one
//! that writes there removes them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Removal = Box<dyn FnOnce() + Send>;

static UNFINISHED: Mutex<BTreeMap<u64, Removal>> = Mutex::new(BTreeMap::new());
/// Held while several files change places, which a signal is not to see half done.
static CHANGING: Mutex<()> = Mutex::new(());

/// Something that is unfinished as long as this lives.
#[derive(Debug)]
pub struct Unfinished(u64);

impl Unfinished {
    /// With what is to be done if the process is about to end meanwhile: a file to remove, a program to end.
    pub fn new(removal: impl FnOnce() + Send + 'static) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        locked(&UNFINISHED).insert(number, Box::new(removal));
        Self(number)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What a removal owns may have an end of its own to make: not while the list is held.
        let removal = locked(&UNFINISHED).remove(&self.0);
        drop(removal);
    }
}

/// As long as the result lives, [`remove_unfinished`] waits.
pub(crate) fn changing() -> MutexGuard<'static, ()> {
    locked(&CHANGING)
}

/// Removes everything that this process has begun to write and not finished, and gives the directories free that it has
/// taken. For a process that is about to end.
pub fn remove_unfinished() {
    let _whole = changing();
    let all = std::mem::take(&mut *locked(&UNFINISHED));
    all.into_values().for_each(|removal| removal());
}

/// True if this process was started to outlive its terminal (`nohup`): SIGHUP is none of its business then. Where
/// the system does not say, it counts as one: a run that stopped at logout would be worse.
pub fn outlives_terminal() -> bool {
    const SIGHUP: u32 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

/// What a panicking thread left is as good as any: each change is one statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
