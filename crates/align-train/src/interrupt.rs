//! What asks a run to stop: the program that it is part of, or SIGINT, SIGTERM and SIGHUP where the program listens to them.
//!
//! The first signal lets the current step finish, the second ends the process. SIGHUP is that of a terminal that closes.
//! Where the process was started to ignore it (`nohup`), it stays ignored.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::{Error, Ranks, Result};

/// A stop token: asks a run to finish its step, save a checkpoint and end. Clones are the same token.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    signals: Option<&'static Signals>,
}

/// The reason why a run stops: who asked it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// [`Stop::request`] was called.
    Requested,
    /// A signal came; by convention the exit code is 128 more.
    Signal(i32),
}

/// Signals are the process's, so what they are noted in is too.
#[derive(Debug)]
struct Signals {
    /// The signal that asked to stop; 0 for none.
    signal: Arc<AtomicUsize>,
    /// Whether a signal ends the process at once: outside of training, and after a first signal.
    fatal: Arc<AtomicBool>,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();

impl Stop {
    /// A token that the process's signals ask too, while a run listens to it. They are handled from now on, for the whole
    /// process: outside of a run they end it, as they would by themselves.
    ///
    /// # Errors
    /// If the system refuses a signal handler.
    pub fn on_signals() -> Result<Self> {
        let signals = match SIGNALS.get() {
            Some(signals) => signals,
            None => {
                let signals = register().map_err(Error::stage)?;
                SIGNALS.get_or_init(|| signals)
            }
        };
        Ok(Self { requested: Arc::default(), signals: Some(signals) })
    }

    /// Asks the run to stop.
    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }

    /// The reason to stop, if anybody has asked.
    pub fn reason(&self) -> Option<StopReason> {
        if self.requested.load(Ordering::SeqCst) {
            return Some(StopReason::Requested);
        }
        let signal = self.signals?.signal.load(Ordering::SeqCst) as i32;
        (signal != 0).then_some(StopReason::Signal(signal))
    }

    /// Fails if somebody has asked: for what takes minutes and can be done again, between its parts.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn go_on(&self) -> Result<()> {
        self.reason().map_or(Ok(()), |reason| Err(Error::Interrupted(reason)))
    }

    /// Fails on all ranks if somebody has asked one of them.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; a rank that failed or is gone.
    pub fn all_go_on(&self, ranks: &Ranks) -> Result<()> {
        let asked = ranks.each(self.reason())?.into_iter().flatten().next();
        asked.map_or(Ok(()), |reason| Err(Error::Interrupted(reason)))
    }

    /// From now on a first signal is noted instead of ending the process.
    pub fn listen(&self) -> Listening {
        if let Some(signals) = self.signals {
            signals.signal.store(0, Ordering::SeqCst);
            signals.fatal.store(false, Ordering::SeqCst);
        }
        Listening { stop: self.clone(), said: AtomicBool::new(false) }
    }
}

/// A run that listens to a stop token. When it is dropped signals end the process again.
pub struct Listening {
    stop: Stop,
    said: AtomicBool,
}

impl Listening {
    /// The reason to stop, if anybody has asked. What follows is said once.
    pub fn received(&self) -> Option<StopReason> {
        let reason = self.stop.reason()?;
        if !self.said.swap(true, Ordering::SeqCst) {
            let second = match reason {
                StopReason::Requested => "",
                StopReason::Signal(_) => "; a second signal stops at once",
            };
            tracing::warn!("{reason}: saving a checkpoint, then stopping{second}");
        }
        Some(reason)
    }

    /// The reason to stop, if any rank was asked to: the same on all.
    ///
    /// # Errors
    /// A rank that failed or is gone.
    pub fn agreed(&self, ranks: &Ranks) -> Result<Option<StopReason>> {
        Ok(ranks.each(self.received())?.into_iter().flatten().next())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(signals) = self.stop.signals {
            signals.signal.store(0, Ordering::SeqCst);
            signals.fatal.store(true, Ordering::SeqCst);
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("asked to stop"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

fn register() -> std::io::Result<Signals> {
    let signals = Signals { signal: Arc::default(), fatal: Arc::new(AtomicBool::new(true)) };
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup()) {
        // In this order: the first signal finds `fatal` unset and sets it for the second.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.fatal))?;
        flag::register(signal, Arc::clone(&signals.fatal))?;
        flag::register_usize(signal, Arc::clone(&signals.signal), signal as usize)?;
    }
    Ok(signals)
}

/// SIGHUP, unless the process was started to ignore it.
#[cfg(unix)]
fn hangup() -> Option<i32> {
    (!align_files::outlives_terminal()).then_some(signal_hook::consts::SIGHUP)
}

#[cfg(not(unix))]
fn hangup() -> Option<i32> {
    None
}
