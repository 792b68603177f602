//! SIGINT, SIGTERM and SIGHUP: the first lets the current step finish, the second ends the process.
//!
//! SIGHUP is that of a terminal that closes. Where the process was started to ignore it (`nohup`), it stays ignored.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::{Error, Result};

/// Signals are the process's, so what they are noted in is too.
struct Noted {
    /// The signal that asked to stop; 0 for none.
    signal: Arc<AtomicUsize>,
    /// Whether a signal ends the process at once: outside of training, and after a first signal.
    fatal: Arc<AtomicBool>,
}

static NOTED: OnceLock<Noted> = OnceLock::new();

/// While it lives, a first signal is noted instead of ending the process.
pub struct Interrupt {
    noted: &'static Noted,
    said: AtomicBool,
}

impl Interrupt {
    /// Starts to listen.
    ///
    /// # Errors
    /// If the system refuses a signal handler.
    pub fn listen() -> Result<Self> {
        let noted = match NOTED.get() {
            Some(noted) => noted,
            None => {
                let noted = register().map_err(Error::stage)?;
                NOTED.get_or_init(|| noted)
            }
        };
        noted.signal.store(0, Ordering::SeqCst);
        noted.fatal.store(false, Ordering::SeqCst);
        Ok(Self { noted, said: AtomicBool::new(false) })
    }

    /// The signal that has asked to stop, if one has. What follows is said once.
    pub fn received(&self) -> Option<i32> {
        let signal = self.noted.received()?;
        if !self.said.swap(true, Ordering::SeqCst) {
            tracing::warn!(
                "signal {signal}: saving a checkpoint, then stopping; a second signal stops at once"
            );
        }
        Some(signal)
    }
}

/// Fails if a signal has asked to stop: for what takes minutes and can be done again, between its parts.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn go_on() -> Result<()> {
    match NOTED.get().and_then(Noted::received) {
        None => Ok(()),
        Some(signal) => Err(Error::Interrupted(signal)),
    }
}

impl Noted {
    fn received(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::SeqCst) as i32).filter(|signal| *signal != 0)
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.noted.signal.store(0, Ordering::SeqCst);
        self.noted.fatal.store(true, Ordering::SeqCst);
    }
}

fn register() -> std::io::Result<Noted> {
    let noted = Noted { signal: Arc::default(), fatal: Arc::new(AtomicBool::new(true)) };
    for signal in [SIGINT, SIGTERM].into_iter().chain(hangup()) {
        // In this order: the first signal finds `fatal` unset and sets it for the second.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&noted.fatal))?;
        flag::register(signal, Arc::clone(&noted.fatal))?;
        flag::register_usize(signal, Arc::clone(&noted.signal), signal as usize)?;
    }
    Ok(noted)
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
