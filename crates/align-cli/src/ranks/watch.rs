//! A thread on every rank that finds out when another hangs: ranks tell each other every second that they are there, and how far
//! they are. One that dies is the launcher's to find, which ends the job; then there is time for a line.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use align_train::{Beat, Beats, Checkpoint, Pulse, Ranks, Stop, StopReason};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, Destination as _, Source as _};

use super::engine::abort;
use crate::run::{complain, warn};

/// Between two looks.
const TICK: Duration = Duration::from_millis(100);
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// A rank that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(20);
/// A rank that is at an update, and does not get on for so long while others wait for it, hangs: but in seconds, in this variable.
const PATIENCE: (&str, Duration) = ("ALIGN_RANK_PATIENCE", Duration::from_secs(600));
/// By so much longer each further rank waits for the first one, so that one of them speaks.
const EACH: Duration = Duration::from_millis(200);
/// What signs of life are called. Everything else that ranks send goes by collectives, which have no tags.
const TAG: i32 = 4711;

/// The directory that the run writes to, once it does.
static OUTPUT_DIR: OnceLock<PathBuf> = OnceLock::new();

/// Says where the run writes: where it can be gone on from.
pub(crate) fn writes_to(output_dir: &Path) {
    let _ = OUTPUT_DIR.set(output_dir.to_owned());
}

/// The thread that watches; it ends when this is dropped.
pub(super) struct Watch {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches over ranks of these names: the first one over all, the others over the first.
    pub(super) fn over(names: Vec<String>, ranks: &Ranks, patience: Duration) -> Self {
        let (own, pulse) = (ranks.rank(), ranks.pulse().clone());
        let ends = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ends);
        let thread = thread::Builder::new()
            .name("ranks".to_owned())
            .spawn(move || watch(&names, own, &pulse, patience, &until));
        Self { ends, thread: thread.ok() }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        // It has nothing to say that matters now.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn watch(names: &[String], own: usize, pulse: &Pulse, patience: Duration, ends: &AtomicBool) {
    let world = SimpleCommunicator::world();
    let watched: Vec<usize> = if own == 0 { (1..names.len()).collect() } else { vec![0] };
    let silence = SILENCE + EACH * own.saturating_sub(1) as u32;
    let stop = Stop::on_signals().unwrap_or_default();
    let mut beats = Beats::of(names.len(), Instant::now());
    let mut heard = vec![Instant::now(); names.len()];
    let (mut beat, mut told) = (Instant::now() - BEAT, false);
    let mut awake = Instant::now();
    while !ends.load(Ordering::SeqCst) {
        // A rank that was stopped itself has heard of nobody meanwhile, and is not the one to complain.
        if awake.elapsed() > 5 * BEAT {
            heard.fill(Instant::now());
            beats = Beats::of(names.len(), Instant::now());
        }
        awake = Instant::now();
        if beat.elapsed() >= BEAT {
            let now = pulse.beat();
            beats.heard(own, now, Instant::now());
            for &rank in &watched {
                world.process_at_rank(rank as i32).send_with_tag(&written(now)[..], TAG);
            }
            beat = Instant::now();
        }
        while let Some(status) = world.any_process().immediate_probe_with_tag(TAG) {
            let rank = status.source_rank();
            let (said, _) = world.process_at_rank(rank).receive_vec_with_tag::<u64>(TAG);
            let rank = rank.unsigned_abs() as usize;
            heard[rank] = Instant::now();
            beats.heard(rank, read(&said), heard[rank]);
        }
        if let Some(&rank) = watched.iter().find(|&&rank| heard[rank].elapsed() > silence) {
            let seconds = silence.as_secs();
            complain(&format!(
                "{}: has not been heard of for {seconds} s: it hangs, or cannot be reached; the job ends{}",
                names[rank],
                how_to_go_on()
            ));
            abort(1);
        }
        if let (0, Some(rank)) = (own, beats.stuck(Instant::now(), patience)) {
            complain(&format!(
                "{}: has not got on with an update for {} s while others wait for it: it hangs; the job ends{} ({} has another \
                 number of seconds)",
                names[rank],
                patience.as_secs(),
                how_to_go_on(),
                PATIENCE.0
            ));
            abort(1);
        }
        if let (0, false, Some(StopReason::Signal(signal))) = (own, told, stop.reason())
            && OUTPUT_DIR.get().is_some()
        {
            warn(&format!(
                "signal {signal}: if a rank is gone, or there is no time for a checkpoint{}",
                how_to_go_on()
            ));
            told = true;
        }
        thread::sleep(TICK);
    }
}

/// The time that a rank has to get on.
///
/// # Errors
/// A variable that says no time.
pub(super) fn patience() -> Result<Duration, String> {
    let Ok(given) = std::env::var(PATIENCE.0) else { return Ok(PATIENCE.1) };
    match given.trim().parse() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("{}={given}: must be a number of seconds, from 1", PATIENCE.0)),
    }
}

fn written(beat: Beat) -> [u64; 4] {
    [beat.moves, beat.calls, u64::from(beat.updates), u64::from(beat.waits)]
}

fn read(said: &[u64]) -> Beat {
    match *said {
        [moves, calls, updates, waits] => Beat { moves, calls, updates: updates != 0, waits: waits != 0 },
        _ => Beat::default(),
    }
}

/// The command to go on with.
fn how_to_go_on() -> String {
    match OUTPUT_DIR.get() {
        None => String::new(),
        Some(run) if Checkpoint::are_in(run) => {
            format!("; go on with the same command and --resume-from-checkpoint {}", run.display())
        }
        Some(run) => {
            format!("; {} has no checkpoint yet: begin again with --overwrite-output-dir", run.display())
        }
    }
}
