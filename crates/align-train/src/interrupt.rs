//! SIGINT and SIGTERM: the first lets the current step finish, the second ends the process.

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

/// While it lives, a first SIGINT or SIGTERM is noted instead of ending the process.
pub struct Interrupt {
    noted: &'static Noted,
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
        Ok(Self { noted })
    }

    /// The signal that has asked to stop, if one has.
    pub fn received(&self) -> Option<i32> {
        match self.noted.signal.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal as i32),
        }
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.noted.fatal.store(true, Ordering::SeqCst);
    }
}

fn register() -> std::io::Result<Noted> {
    let noted = Noted { signal: Arc::default(), fatal: Arc::new(AtomicBool::new(true)) };
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds `fatal` unset and sets it for the second.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&noted.fatal))?;
        flag::register(signal, Arc::clone(&noted.fatal))?;
        flag::register_usize(signal, Arc::clone(&noted.signal), signal as usize)?;
    }
    Ok(noted)
}
