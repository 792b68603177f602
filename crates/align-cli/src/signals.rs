//! Signals that every program answers in the same way. What ends a training run is align-train's.

/// A file that may not grow any further (`ulimit -f`, a quota) is an error of the write, with the file's name, and not the
/// end of the process without a word.
pub(crate) fn limits_are_errors() {
    // Any handler will do: the system then answers the write. Where there is none to be had, nothing is lost.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}

/// From now on a process that is asked to end (SIGINT, SIGTERM, SIGHUP) removes what it has not finished, and then ends as it
/// would have. For programs that have nothing to save: training has, and answers these signals itself.
#[cfg(unix)]
pub fn end_tidily() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hangup = (!align_files::outlives_terminal()).then_some(SIGHUP);
        let (ready, listening) = std::sync::mpsc::channel();
        // The thread itself listens: a signal that nobody waits for would not end the process at all.
        let wait = move || {
            let signals = Signals::new([SIGINT, SIGTERM].into_iter().chain(hangup));
            let _ = ready.send(());
            let Ok(mut signals) = signals else { return };
            for signal in signals.forever() {
                align_files::remove_unfinished();
                let _ = emulate_default_handler(signal);
            }
        };
        if std::thread::Builder::new().name("signals".to_owned()).spawn(wait).is_ok() {
            let _ = listening.recv();
        }
    });
}

/// Where there are no signals, none ends a process.
#[cfg(not(unix))]
pub fn end_tidily() {}
