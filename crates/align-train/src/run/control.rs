//! Who has a say in a run.

use crate::{LogEntry, Result, Stop};

/// A listener to the log: takes an entry; an error ends the run.
pub type OnLog<'a> = dyn Fn(&LogEntry) -> Result<()> + 'a;

/// The control of a run from outside: by default nobody asks it to stop, sees it, or is told of it.
#[derive(Clone, Default)]
pub struct RunControl<'a> {
    /// The stop token, which asks the run to stop.
    pub stop: Stop,
    /// Whether stderr, if it is a terminal, gets a progress bar.
    pub progress_bar: bool,
    /// The listener, who is told every log entry as `metrics.jsonl` has it.
    pub on_log: Option<&'a OnLog<'a>>,
}
