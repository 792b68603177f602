//! Running targets: their corpora, and inputs made of them.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Scratch, Target, mutate};

/// An input may take this long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The process may have this much memory, in MB.
const MEMORY: f64 = 4000.0;

/// Which inputs are made of a corpus.
#[derive(Clone, Copy, Debug)]
pub enum Amount {
    /// This many.
    Executions(u64),
    /// As many as fit into the time.
    Time(Duration),
    /// The one of this number.
    Only(u64),
}

/// Runs a target on its corpus and on inputs made of it, and says in a line what it was.
///
/// # Errors
/// The number and the place of an input on which the target panics. One that takes too long or too much ends the process.
pub fn fuzz(target: &Target, seed: u64, amount: Amount) -> Result<String, String> {
    watch();
    let corpus = corpus(target);
    let scratch = Scratch::new().map_err(|error| format!("no scratch folder: {error}"))?;
    let start = Instant::now();
    let made = |number| mutate::mutated(&corpus, seed, number);
    if let Amount::Only(number) = amount {
        hold(target, number, &made(number), &scratch)?;
        return Ok(format!("{}: input {number} holds", target.name));
    }
    for (number, input) in corpus.iter().enumerate() {
        hold(target, number as u64, input, &scratch)?;
    }
    let more = |number| match amount {
        Amount::Executions(executions) => number < executions,
        Amount::Time(time) => start.elapsed() < time,
        Amount::Only(_) => false,
    };
    let mut number = 0;
    while more(number) {
        hold(target, number, &made(number), &scratch)?;
        number += 1;
    }
    let (name, seeds, seconds) = (target.name, corpus.len(), start.elapsed().as_secs());
    let memory = align_hub::policy::peak_memory_mb().unwrap_or(0.0);
    Ok(format!("{name}: {seeds} inputs, {number} made of them, {seconds} s, at most {memory:.0} MB"))
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = [root.join("corpus").join(target.name)].into_iter();
    let mut files: Vec<PathBuf> = own
        .chain(target.seeds.iter().map(|seeds| root.join("..").join(seeds)))
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let corpus: Vec<_> = files.iter().filter_map(|file| std::fs::read(file).ok()).collect();
    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
    corpus
}

/// Milliseconds since the start at which the input underway was begun; 0 if none is.
static BEGUN: AtomicU64 = AtomicU64::new(0);

fn milliseconds() -> u64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1
}

/// Runs one input. It lies in the folder for temporary files meanwhile, for the case that it ends the process.
fn hold(target: &Target, number: u64, input: &[u8], scratch: &Scratch) -> Result<(), String> {
    let kept = std::env::temp_dir().join(format!("align-fuzz-{}", target.name));
    std::fs::write(&kept, input).map_err(|error| format!("{}: {error}", kept.display()))?;
    BEGUN.store(milliseconds(), Ordering::Relaxed);
    let result = catch_unwind(AssertUnwindSafe(|| target.run(input, scratch)));
    BEGUN.store(0, Ordering::Relaxed);
    result.map_err(|_| format!("{}: input {number} panics; it is in {}", target.name, kept.display()))
}

/// Ends the process where an input takes too long or too much.
fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(200));
                let begun = BEGUN.load(Ordering::Relaxed);
                let taken = if begun == 0 { 0 } else { milliseconds().saturating_sub(begun) };
                let memory = align_hub::policy::peak_memory_mb().unwrap_or(0.0);
                if taken > PATIENCE.as_millis() as u64 || memory > MEMORY {
                    let folder = std::env::temp_dir();
                    let line =
                        format!("the input in {} took {taken} ms and {memory:.0} MB", folder.display());
                    let _ = writeln!(std::io::stderr().lock(), "{line}");
                    std::process::exit(1);
                }
            }
        });
    });
}
