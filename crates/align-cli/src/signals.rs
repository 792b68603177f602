//! Signals that every program answers in the same way. What ends a training run is align-train's.

/// A file that may not grow any further (`ulimit -f`, a quota) is an error of the write, with the file's name, and not the
/// end of the process without a word.
pub(crate) fn limits_are_errors() {
    // Any handler will do: the system then answers the write. Where there is none to be had, nothing is lost.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, std::sync::Arc::default());
}
