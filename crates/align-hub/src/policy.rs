//! How the process keeps its memory and its threads, and how much memory it has used. All of it belongs to a
//! program, not to a library: who embeds the crates decides for themselves.
//!
//! # Memory
//! candle allocates a fresh vector for the result of every op. glibc hands large ones back to the
//! kernel at once and gets them again, zeroed and page by page, at the next op: nearly half the time of
//! a training step. Told to keep its memory, it does the same step in about half the time.
//!
//! Linux gives memory in pages of 4 KB unless it is asked for large ones. The addresses of small pages have to
//! be looked up so often that a core reads weights at two thirds of the speed.
//!
//! # Threads
//! candle's element-wise ops have threads of their own beside rayon's, which spin while they wait: for work,
//! and for each other. Where every core has a thread of our kernels, they only take turns away from it: on
//! a busy machine a third of a training step went into waiting. What is left to candle is little, so one
//! thread does it.

/// Tells glibc's allocator to keep what it has, in large pages. Call it first in `main`, before any thread exists.
/// Elsewhere it does nothing.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    if keep_the_heap() {
        large_pages(align_limits::memory::available().unwrap_or(0) / SHARE_OF_LARGE_PAGES);
    }
}

/// Which part of the memory that a process may take gets large pages: the heap reaches over it from the start, and what other
/// programs, threads and files need must stay.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const SHARE_OF_LARGE_PAGES: u64 = 4;

/// Whether large blocks come from the heap like small ones, whose top is never given back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "mallopt is a C function; there is no safe form of it")]
fn keep_the_heap() -> bool {
    // SAFETY: mallopt only sets parameters of the allocator; it is safe at any time, and complete before other threads
    // allocate because `main` calls it first.
    let set = |parameter, value| unsafe { libc::mallopt(parameter, value) } == 1;
    // An allocator that refuses the threshold gives large blocks back however much it may keep, and each of the others would
    // switch off what it finds out by itself: slower than doing nothing.
    set(libc::M_MMAP_THRESHOLD, 1 << 30)
        // -1 is the largest size.
        && set(libc::M_TRIM_THRESHOLD, -1)
        // One heap: those of other threads are too small for large blocks.
        && set(libc::M_ARENA_MAX, 1)
}

/// Makes the heap reach over `bytes` of addresses, and asks for large pages there. Nothing is used before it is written to.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "malloc, sbrk and madvise are C functions; there is no safe form of them")]
fn large_pages(bytes: u64) {
    const BLOCK: usize = 1 << 26;
    let count = usize::try_from(bytes).unwrap_or(usize::MAX) / BLOCK;
    // SAFETY: what is allocated is freed, once; the advice is about whole pages of the heap, between a block in
    // it and its end, and changes how they are provided, not what they hold.
    unsafe {
        let page = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096);
        // With room from the start: a list that grew would lie between the blocks, and what is free would stay in pieces.
        let mut blocks = Vec::with_capacity(count);
        blocks.extend((0..count).map(|_| libc::malloc(BLOCK)).take_while(|block| !block.is_null()));
        if let Some(first) = blocks.first() {
            let (start, end) = (first.addr().next_multiple_of(page), libc::sbrk(0).addr());
            if start < end {
                libc::madvise(first.with_addr(start), end - start, libc::MADV_HUGEPAGE);
            }
        }
        blocks.into_iter().for_each(|block| libc::free(block));
    }
}

/// Tells candle to make no threads of its own, unless `CANDLE_NUM_THREADS` says how many; candle has no other way to be
/// told. Does nothing beside other threads, and where the system does not say whether there are any.
#[expect(unsafe_code, reason = "setting a variable of the environment is unsafe beside other threads")]
pub fn leave_threads_to_the_kernels() {
    const NAME: &str = "CANDLE_NUM_THREADS";
    if std::env::var_os(NAME).is_none() && is_alone() {
        // SAFETY: the system says that this thread is the only one, and it starts no other meanwhile.
        unsafe { std::env::set_var(NAME, "1") };
    }
}

/// Whether the process is known to have one thread.
fn is_alone() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

/// More threads than a machine has cores, and fewer than a system refuses.
const MOST_THREADS: usize = 512;

/// Makes the calling thread one of the kernels' threads, of which there are `RAYON_NUM_THREADS` (512 at most), or as
/// many as cores. Otherwise each of a step's thousand parallel loops would wake a thread to begin in, and be woken by it at
/// its end. Call it in `main`.
///
/// Work that another thread gives the pool may lie with this thread, which does it only while it is in a parallel loop
/// itself. So this thread must not block for another one that uses the pool.
pub fn work_beside_the_kernels() {
    // 0 is rayon's word for as many as cores.
    work_beside_the_kernels_with(0);
}

/// The same with so many threads, unless `RAYON_NUM_THREADS` says how many: for a process that shares its cores with others.
/// Returns how many there are.
pub fn work_beside_the_kernels_with(threads: usize) -> usize {
    let mut pool = rayon::ThreadPoolBuilder::new().use_current_thread();
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|number| number.parse::<usize>().ok());
    match asked {
        Some(asked) if asked > MOST_THREADS => pool = pool.num_threads(MOST_THREADS),
        Some(1..) => {}
        _ => pool = pool.num_threads(threads),
    }
    // The pool exists only if somebody used it before; then it stays as it is.
    if let Err(error) = pool.build_global() {
        tracing::debug!("the thread pool stays as it is: {error}");
    }
    rayon::current_num_threads()
}

/// The most resident memory that this process has had, in megabytes (10⁶ bytes); `None` where the
/// system does not say.
pub fn peak_memory_mb() -> Option<f64> {
    peak_bytes().map(|bytes| bytes as f64 / 1e6)
}

/// The resident memory that this process has, in bytes; 0 where the system does not say.
pub fn resident_bytes() -> u64 {
    if cfg!(target_os = "linux") { status("VmRSS:").unwrap_or(0) } else { 0 }
}

#[cfg(target_os = "linux")]
fn peak_bytes() -> Option<u64> {
    status("VmHWM:")
}

/// A line of the process's status, in bytes.
fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(all(unix, not(target_os = "linux")))]
#[expect(unsafe_code, reason = "getrusage is a C function; there is no safe form of it")]
fn peak_bytes() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for one rusage, which getrusage fills; all-zero is a valid rusage.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).ok().map(|most| most * unit)
}

#[cfg(not(unix))]
fn peak_bytes() -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_peak_stays_after_memory_is_freed() {
        let before = super::peak_memory_mb().unwrap();
        let block = vec![1_u8; 64 << 20];
        assert_eq!(block.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 64 << 20);
        drop(block);
        let after = super::peak_memory_mb().unwrap();
        assert!(after >= before && after > 64.0, "before {before} MB, after {after} MB");
    }

    #[test]
    fn beside_other_threads_the_environment_is_left_alone() {
        std::thread::scope(|scope| {
            let (stop, waits) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || waits.recv());
            assert!(!super::is_alone());
            let before = std::env::var_os("CANDLE_NUM_THREADS");
            super::leave_threads_to_the_kernels();
            assert_eq!(std::env::var_os("CANDLE_NUM_THREADS"), before);
            drop(stop);
        });
    }

    #[test]
    fn memory_can_still_be_had_after_the_policy() {
        super::keep_memory();
        assert_eq!(vec![7_u8; 40 << 20].len(), 40 << 20);
    }
}
